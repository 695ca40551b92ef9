#include "provisioner/windows_restart/windows_restart.h"

#include <fmt/format.h>

#include <chrono>

#include "base/error.h"
#include "base/text.h"
#include "kit/guest_script.h"
#include "kit/script_run.h"
#include "wire/encoded_powershell.h"

namespace kiln {

namespace {

constexpr const char* restart_by_default = R"(shutdown /r /f /t 0 /c "packer restart")";
// Windows refuses a second shutdown while the first one goes on: that is how one sees that it does.
constexpr const char* try_restart = R"(shutdown /r /f /t 60 /c "packer restart test")";
constexpr const char* abort_restart = "shutdown /a";
constexpr int shutdown_in_progress = 1115;
constexpr int shutdown_scheduled = 1190;
constexpr auto look_again_after = std::chrono::seconds(5);
constexpr auto look_for_at_most =
    std::chrono::minutes(1);  // a command that hangs in a machine that goes down

struct WindowsRestartConfig {
  std::string restart_command;
  std::string restart_check_command;
  Duration restart_timeout = std::chrono::minutes(5);
  bool check_registry = false;
  std::vector<std::string> registry_keys;
};

using Config = WindowsRestartConfig;

const std::vector<std::string>& registry_keys_by_default() {
  static const std::vector<std::string> keys = {
      R"(HKLM:SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending)",
      R"(HKLM:SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\PackagesPending)",
      R"(HKLM:Software\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootInProgress)"};
  return keys;
}

const OptionTable<Config>& windows_restart_options() {
  static const OptionTable<Config> table = [] {
    OptionTable<Config> t;
    t.add(&Config::restart_command, {.name = "restart_command",
                                     .default_text = restart_by_default,
                                     .doc = "The command that restarts the machine."});
    t.add(&Config::restart_check_command, {.name = "restart_check_command",
                                           .doc = "A command that must succeed before the machine counts as "
                                                  "restarted; PowerShell must answer, too."});
    t.add(&Config::restart_timeout, {.name = "restart_timeout",
                                     .default_text = "5m",
                                     .doc = "How long the restart may take.",
                                     .in_key = false});
    t.add(&Config::check_registry,
          {.name = "check_registry",
           .default_text = "false",
           .doc = "Also wait until none of registry_keys exists: updates go on after the restart."});
    t.add(&Config::registry_keys, {.name = "registry_keys",
                                   .default_text = "RebootPending, PackagesPending and RebootInProgress of "
                                                   "Component Based Servicing",
                                   .doc = "Keys whose presence says that a restart is pending or going on."});
    return t;
  }();
  return table;
}

class WindowsRestartProvisioner : public Provisioner {
 public:
  void prepare(const PrepareInput& input) override;
  void run(Communicator& communicator, StageContext& context) override;

 private:
  void order_restart(Communicator& communicator, StageContext& context) const;
  bool gone_through(Communicator& communicator, const Deadline& deadline, StageContext& context) const;
  bool is_back(Communicator& communicator, const Deadline& deadline, StageContext& context) const;
  bool restart_is_pending(Communicator& communicator, const Deadline& deadline, StageContext& context) const;

  Config config_;
};

void WindowsRestartProvisioner::prepare(const PrepareInput& input) {
  config_ = {};
  DecodeContext decode = input.decode("provisioner windows-restart");
  windows_restart_options().decode(input.config, config_, decode);
  if (config_.restart_command.empty()) config_.restart_command = restart_by_default;
  if (config_.restart_timeout == Duration::zero()) config_.restart_timeout = std::chrono::minutes(5);
  if (config_.registry_keys.empty()) config_.registry_keys = registry_keys_by_default();
}

struct Answered {
  int status = 0;
  std::string out;
};

/// One command, its output shown. Throws what the communicator throws.
Answered ask_machine(Communicator& communicator, const std::string& command, const Deadline& deadline,
                     StageContext& context) {
  Answered answered;
  OutputLines lines(context.ui);
  Sink out = lines.out();
  answered.status = communicator.run(
      command,
      [&](std::string_view bytes) {
        answered.out += bytes;
        out(bytes);
      },
      lines.err(), deadline, context.stop);
  lines.finish();
  return answered;
}

void WindowsRestartProvisioner::order_restart(Communicator& communicator, StageContext& context) const {
  context.ui.say("Restarting Machine");
  const std::string command = render_option(config_.restart_command, "Error interpolating restart_command",
                                            context.scope.build_data, context);
  Deadline deadline = Deadline::in(config_.restart_timeout);
  int status =
      retry_until(deadline, context, [&] { return run_script_command(communicator, command, context); });
  // A line that breaks while the machine is told to restart is the restart.
  bool fine = status == 0 || status == shutdown_in_progress || status == shutdown_scheduled ||
              status == disconnected_status;
  if (!fine) {
    throw Error(ErrorKind::remote,
                fmt::format("Restart script exited with non-zero exit status: {}", status));
  }
}

/// Whether the old system is gone: a new restart could be ordered (and is called off).
bool WindowsRestartProvisioner::gone_through(Communicator& communicator, const Deadline& deadline,
                                             StageContext& context) const {
  auto ignore = [](std::string_view) {};
  int status = communicator.run(try_restart, ignore, ignore, deadline, context.stop);
  if (status == shutdown_in_progress || status == shutdown_scheduled || status == disconnected_status)
    return false;
  communicator.run(abort_restart, ignore, ignore, deadline, context.stop);
  return true;
}

bool WindowsRestartProvisioner::restart_is_pending(Communicator& communicator, const Deadline& deadline,
                                                   StageContext& context) const {
  for (const auto& key : config_.registry_keys) {
    Answered answered =
        ask_machine(communicator, encoded_powershell("Test-Path \"" + key + "\""), deadline, context);
    if (answered.status == disconnected_status || contains(answered.out, "True")) return true;
  }
  return false;
}

bool WindowsRestartProvisioner::is_back(Communicator& communicator, const Deadline& deadline,
                                        StageContext& context) const {
  if (!config_.restart_check_command.empty()) {
    std::string command =
        render_option(config_.restart_check_command, "Error interpolating restart_check_command",
                      context.scope.build_data, context);
    if (ask_machine(communicator, command, deadline, context).status != 0) return false;
  }
  const std::string echo = R"(echo ("{0} restarted." -f [System.Net.Dns]::GetHostName()))";
  if (!contains(ask_machine(communicator, encoded_powershell(echo), deadline, context).out, "restarted."))
    return false;
  return !config_.check_registry || !restart_is_pending(communicator, deadline, context);
}

void WindowsRestartProvisioner::run(Communicator& communicator, StageContext& context) {
  order_restart(communicator, context);
  communicator.disconnect();
  context.ui.say("Waiting for machine to restart...");
  Deadline whole = Deadline::in(config_.restart_timeout);
  bool gone = false;
  while (true) {
    try {
      Deadline deadline = whole.at_most(look_for_at_most);
      if (!gone) gone = gone_through(communicator, deadline, context);
      if (gone && is_back(communicator, whole, context)) break;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::remote && error.kind() != ErrorKind::timeout) throw;
      context.log.line("the machine is not back yet: " + error.message());
    }
    if (whole.left() <= std::chrono::duration_cast<Millis>(look_again_after)) {
      throw Error(ErrorKind::timeout, "Timeout waiting for machine to restart.");
    }
    sleep_for(look_again_after, context.stop);
  }
  context.ui.say("Machine successfully restarted, moving on");
}

}  // namespace

ComponentEntry<Provisioner> windows_restart_provisioner() {
  return {"windows-restart", "Restarts a Windows machine and waits until it is back.",
          windows_restart_options, [] { return std::make_unique<WindowsRestartProvisioner>(); }};
}

}  // namespace kiln
