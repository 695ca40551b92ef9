#include "kit/boot_id.h"

#include "base/error.h"
#include "base/text.h"

namespace kiln {

namespace {

/// Prints the boot id, then a word for "stopping" and "container". Plain sh; systemd's state is "stopping"
/// from the moment a shutdown is queued.
constexpr const char* probe_command =
    "id=`cat /proc/sys/kernel/random/boot_id 2>/dev/null` || id=`sysctl -n kern.boottime 2>/dev/null` || "
    "id=; "
    "echo \"boot-id:$id\"; "
    "s=`systemctl is-system-running 2>/dev/null`; [ \"$s\" = stopping ] && echo stopping; "
    "if [ -e /run/systemd/container ] || [ -e /.dockerenv ] || [ -n \"$container\" ]; then echo container; "
    "fi; true";

}  // namespace

std::optional<GuestState> probe_guest(Communicator& communicator, const Deadline& deadline,
                                      const Stop& stop) {
  std::string out;
  try {
    int status = communicator.run(
        probe_command, [&](std::string_view bytes) { out += bytes; }, [](std::string_view) {}, deadline,
        stop);
    if (status == disconnected_status) return std::nullopt;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    return std::nullopt;
  }
  GuestState state;
  for (const auto& line : split(out, '\n')) {
    auto word = trim(line);
    if (word.starts_with("boot-id:")) state.boot_id = std::string(trim(word.substr(8)));
    if (word == "stopping") state.stopping = true;
    if (word == "container") state.container = true;
  }
  return state;
}

CameBack await_return(Communicator& communicator, const ReturnWatch& watch, const Deadline& deadline,
                      const Ui& ui, const Stop& stop) {
  bool told = false;
  auto tell = [&] {
    if (!std::exchange(told, true)) ui.say("Waiting for the machine to come back...");
  };
  std::optional<Deadline> settled;
  bool lost = watch.disconnected;
  if (lost) tell();
  while (!deadline.passed()) {
    if (lost) communicator.disconnect();
    auto now = probe_guest(communicator, deadline.at_most(watch.probe_timeout), stop);
    if (!now) {
      lost = true;
      settled.reset();
      tell();
    } else {
      bool comparable = watch.before && !watch.before->boot_id.empty() && !now->boot_id.empty();
      if (comparable && now->boot_id != watch.before->boot_id) {
        ui.say("The machine has restarted.");
        return CameBack::restarted;
      }
      if (now->stopping) {
        settled.reset();
        tell();
      } else {
        if (now->container && !lost) return CameBack::same_boot;
        if (!settled) settled = Deadline::in(lost ? watch.settle_disconnected : watch.settle_connected);
        if (settled->passed()) return CameBack::same_boot;
      }
      lost = false;
    }
    wait({}, deadline.at_most(watch.probe_pause), stop);
  }
  return CameBack::gone;
}

}  // namespace kiln
