#include "provisioner/shell/shell.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/boot_id.h"
#include "kit/guest_script.h"
#include "kit/script_run.h"
#include "provisioner/shell/config.h"

namespace kiln {

namespace {

class ShellProvisioner : public Provisioner {
 public:
  void prepare(const PrepareInput& input) override { config_ = prepare_shell(input); }
  void run(Communicator& communicator, StageContext& context) override;

 private:
  struct Script {
    std::string shown;  ///< what the message names
    std::string text;
  };
  std::vector<Script> scripts(StageContext& context) const;
  std::string command_for(StageContext& context) const;
  void send_variables(Communicator& communicator, StageContext& context);
  int start(Communicator& communicator, const Script& script, const std::string& command,
            StageContext& context) const;
  bool accepts(int status) const;
  void judge(int status, bool restarted) const;
  void run_script(Communicator& communicator, const Script& script, StageContext& context) const;
  CameBack wait_for_return(Communicator& communicator, const Script& script, int status,
                           const std::optional<GuestState>& before, StageContext& context) const;
  void remove_remote(Communicator& communicator, const std::string& path, StageContext& context) const;

  ShellConfig config_;
  std::string variables_file_;  ///< remote path, when there is one
};

std::vector<ShellProvisioner::Script> ShellProvisioner::scripts(StageContext& context) const {
  std::vector<Script> out;
  for (const auto& path : config_.scripts) {
    std::string text = during("Error opening shell script", [&] { return read_file(path); });
    out.push_back({path, config_.binary ? text : normalize_script(text)});
  }
  if (config_.inline_lines.empty()) return out;
  std::vector<std::string> lines;
  for (const auto& line : config_.inline_lines) {
    lines.push_back(render_option(line, "Error interpolating Inline", context.scope.build_data, context));
  }
  std::string text = inline_script(config_, lines);
  out.push_back({shown_inline_name("packer-shell"), config_.binary ? text : normalize_script(text)});
  return out;
}

std::string ShellProvisioner::command_for(StageContext& context) const {
  auto variables = shell_variables(config_, context.build, context.scope.build_data);
  Value dot =
      command_dot(context, {{"Vars", config_.use_env_var_file ? "" : format_variables(config_, variables)},
                            {"Path", config_.remote_path},
                            {"EnvVarFile", variables_file_}});
  return render_option(config_.execute_command, "Error processing command", dot, context);
}

void ShellProvisioner::send_variables(Communicator& communicator, StageContext& context) {
  variables_file_.clear();
  if (!config_.use_env_var_file) return;
  std::mt19937 generator{std::random_device{}()};
  int number = std::uniform_int_distribution<int>(0, 9998)(generator);
  std::string path = fmt::format("{}/varfile_{}.sh", config_.remote_folder, number);
  std::string text =
      format_variables(config_, shell_variables(config_, context.build, context.scope.build_data));
  Deadline deadline = Deadline::in(config_.start_retry_timeout);
  retry_until(deadline, context, [&] {
    during("Error uploading envVarFile",
           [&] { upload_text(communicator, path, text, 0600, deadline, context.stop); });
  });
  variables_file_ = path;
}

int ShellProvisioner::start(Communicator& communicator, const Script& script, const std::string& command,
                            StageContext& context) const {
  Deadline deadline = Deadline::in(config_.start_retry_timeout);
  return retry_until(deadline, context, [&] {
    during("Error uploading script", [&] {
      upload_text(communicator, config_.remote_path, script.text, 0755, deadline, context.stop);
    });
    return run_script_command(communicator, command, context);
  });
}

bool ShellProvisioner::accepts(int status) const {
  const auto& valid = config_.valid_exit_codes;
  if (std::find(valid.begin(), valid.end(), status) != valid.end()) return true;
  return status == disconnected_status && config_.expect_disconnect;
}

void ShellProvisioner::judge(int status, bool restarted) const {
  if (accepts(status)) return;
  // A shell that was ended by the shutdown it ordered: what was expected, in other words.
  if (restarted && config_.expect_disconnect && status >= 128) return;
  if (status == disconnected_status) {
    throw Error(
        ErrorKind::remote,
        "Script disconnected unexpectedly. If you expected your script to disconnect, i.e. from a restart, "
        "you "
        "can try adding `\"expect_disconnect\": true` or `\"valid_exit_codes\": [0, 2300218]` to the shell "
        "provisioner parameters.");
  }
  require_valid_exit(status, config_.valid_exit_codes);
}

CameBack ShellProvisioner::wait_for_return(Communicator& communicator, const Script& script, int status,
                                           const std::optional<GuestState>& before,
                                           StageContext& context) const {
  // Someone who switches the machine off and leaves the script there expects nothing to come back.
  if (config_.skip_clean && turns_machine_off(script.text)) return CameBack::gone;
  ReturnWatch watch;
  watch.before = before;
  watch.disconnected = status == disconnected_status;
  CameBack how =
      await_return(communicator, watch, Deadline::in(config_.start_retry_timeout), context.ui, context.stop);
  if (how == CameBack::gone && !config_.skip_clean) {
    throw Error(ErrorKind::timeout,
                fmt::format("The machine did not come back within {} after the script disconnected "
                            "(start_retry_timeout); a script that switches it off needs skip_clean",
                            format_go_duration(config_.start_retry_timeout)));
  }
  return how;
}

void ShellProvisioner::remove_remote(Communicator& communicator, const std::string& path,
                                     StageContext& context) const {
  Deadline deadline = Deadline::in(config_.start_retry_timeout);
  retry_until(deadline, context, [&] {
    auto ignore = [](std::string_view) {};
    int status = communicator.run("rm -f " + path, ignore, ignore, deadline, context.stop);
    if (status == 0) return;
    throw Error(ErrorKind::remote, fmt::format("Error removing temporary script at {}!", path));
  });
}

void ShellProvisioner::run_script(Communicator& communicator, const Script& script,
                                  StageContext& context) const {
  context.ui.say("Provisioning with shell script: " + script.shown);
  bool may_restart = config_.expect_disconnect || accepts(disconnected_status);
  std::optional<GuestState> before;
  if (may_restart)
    before = probe_guest(communicator, Deadline::in(config_.start_retry_timeout), context.stop);
  int status = start(communicator, script, command_for(context), context);
  bool restarted = false;
  if (may_restart && (accepts(status) || status >= 128)) {
    CameBack how = wait_for_return(communicator, script, status, before, context);
    restarted = how == CameBack::restarted;
    judge(status, restarted);
    if (how == CameBack::gone) return;
  }
  judge(status, restarted);
  if (!config_.skip_clean) remove_remote(communicator, config_.remote_path, context);
}

void ShellProvisioner::run(Communicator& communicator, StageContext& context) {
  auto all = scripts(context);
  send_variables(communicator, context);
  for (const auto& script : all) run_script(communicator, script, context);
  if (!variables_file_.empty() && !config_.skip_clean) remove_remote(communicator, variables_file_, context);
  if (config_.pause_after > Duration::zero()) {
    context.ui.say(
        fmt::format("Pausing {} after this provisioner...", format_go_duration(config_.pause_after)));
    sleep_for(config_.pause_after, context.stop);
  }
}

}  // namespace

ComponentEntry<Provisioner> shell_provisioner() {
  return {"shell", "Runs scripts on the machine.", shell_options,
          [] { return std::make_unique<ShellProvisioner>(); }};
}

}  // namespace kiln
