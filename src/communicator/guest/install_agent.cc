// Bringing the agent into the guest through another way in.
#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "communicator/guest/guest_channel.h"

namespace kiln {

namespace {

const std::string place_mark = "kiln-agent-place ";
const std::string refusal_mark = "kiln-agent-refused ";

/// Says where the agent can lie (in memory if possible) and run, or why there can be none.
std::string probe_script(const std::string& name) {
  return fmt::format(
      "no() {{ echo \"{0}$*\"; exit 0; }}; "
      "[ \"$(uname -s)\" = Linux ] || no \"the machine runs $(uname -s)\"; "
      "[ \"$(uname -m)\" = x86_64 ] || no \"the machine's processor is $(uname -m)\"; "
      // Where there is a device for ports (virtio's type 3), they may come a moment after ssh does.
      "port=; i=0; while :; do for f in /sys/class/virtio-ports/*/name; do "
      "[ -r \"$f\" ] && [ \"$(cat \"$f\")\" = {2} ] && port=$f; done; "
      "[ -z \"$port\" ] && [ $i -lt 15 ] && grep -qs 0x0003 /sys/bus/virtio/devices/*/device || break; "
      "i=$((i + 1)); sleep 0.2 2>/dev/null || sleep 1; done; "
      "[ -n \"$port\" ] || no \"the machine has no virtio port named {2}\"; "
      "for d in /dev/shm /run /tmp; do f=$d/{3}; "
      "if (umask 077; printf '#!/bin/sh\\nexit 0\\n' > \"$f\" && chmod 700 \"$f\" && \"$f\") 2>/dev/null; then "
      "rm -f \"$f\"; echo \"{1}$f\"; exit 0; fi; rm -f \"$f\" 2>/dev/null; done; "
      "no \"the machine has no directory for programs\"",
      refusal_mark, place_mark, guest_channel_port, name);
}

/// Starts it; it removes its own file, and when it could not start somebody else must.
std::string start_script(const std::string& path) {
  return fmt::format("f={0}; \"$f\"; s=$?; rm -f \"$f\"; exit $s", shell_quote(path));
}

struct Said {
  int status = 0;
  std::vector<std::string> lines;  ///< of both streams
};

Said run_script(Communicator& way_in, const std::string& script, const Deadline& deadline, const Stop& stop) {
  constexpr size_t enough = 64 << 10;
  std::string text;
  auto sink = [&](std::string_view bytes) { text += bytes.substr(0, enough - std::min(enough, text.size())); };
  Said said;
  said.status = way_in.run("/bin/sh -c " + shell_quote(script), sink, sink, deadline, stop);
  for (const auto& line : split(text, '\n')) {
    if (auto trimmed = trim(line); !trimmed.empty()) said.lines.emplace_back(trimmed);
  }
  return said;
}

std::optional<std::string> marked_line(const Said& said, const std::string& mark) {
  for (const auto& line : said.lines) {
    if (line.starts_with(mark)) return line.substr(mark.size());
  }
  return std::nullopt;
}

std::string last_line(const Said& said, const std::string& otherwise) {
  return said.lines.empty() ? otherwise : said.lines.back();
}

void send_agent(Communicator& way_in, const std::string& path, const Deadline& deadline, const Stop& stop) {
  std::string_view left = guest_agent_program();
  auto source = [&](char* buffer, size_t size) {
    size_t n = left.copy(buffer, size);
    left.remove_prefix(n);
    return n;
  };
  way_in.upload({path, left.size(), 0700}, source, deadline, stop);
}

/// Why not; nullopt when the agent runs.
std::optional<std::string> try_install(Communicator& way_in, const Deadline& deadline, const Stop& stop) {
  if (guest_agent_program().empty()) return "this Kiln was built without an agent";
  std::string name = ".kiln-agent-" + hex_encode(random_bytes(8));
  Said probed = run_script(way_in, probe_script(name), deadline, stop);
  if (auto why = marked_line(probed, refusal_mark)) return why;
  auto place = marked_line(probed, place_mark);
  if (!place || !place->ends_with(name)) return last_line(probed, "the machine has no POSIX shell");
  send_agent(way_in, *place, deadline, stop);
  Said started = run_script(way_in, start_script(*place), deadline, stop);
  if (started.status == 0) return std::nullopt;
  return last_line(started, fmt::format("the agent ended with status {}", started.status));
}

}  // namespace

bool install_guest_agent(Communicator& way_in, std::string& why_not, const Deadline& deadline, const Stop& stop) {
  try {
    auto why = try_install(way_in, deadline, stop);
    why_not = why.value_or("");
    return !why;
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::cancelled) throw;
    why_not = e.message();
    return false;
  }
}

}  // namespace kiln
