#include "provisioner/powershell/powershell.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/guest_script.h"
#include "kit/script_run.h"
#include "provisioner/powershell/config.h"
#include "provisioner/powershell/elevated.h"

namespace kiln {

namespace {

constexpr auto clean_up_time = std::chrono::minutes(1);

class PowershellProvisioner : public Provisioner {
 public:
  void prepare(const PrepareInput& input) override { config_ = prepare_powershell(input); }
  void run(Communicator& communicator, StageContext& context) override;

 private:
  struct Script {
    std::string shown;
    std::string text;
  };
  std::vector<Script> scripts(StageContext& context) const;
  std::string variables(StageContext& context) const {
    return powershell_variables(config_, context.build, context.scope.build_data);
  }
  std::string command_for(const std::string& command, const std::string& path, StageContext& context) const;
  std::string elevate(Communicator& communicator, const std::string& command, const Deadline& deadline,
                      StageContext& context) const;
  void run_script(Communicator& communicator, const Script& script, StageContext& context) const;
  void clean_up(Communicator& communicator, StageContext& context) const;

  PowershellConfig config_;
};

std::vector<PowershellProvisioner::Script> PowershellProvisioner::scripts(StageContext& context) const {
  std::vector<Script> out;
  for (const auto& path : config_.scripts) {
    std::string text = during("Error opening powershell script", [&] { return read_file(path); });
    out.push_back({path, config_.binary ? text : normalize_script(text)});
  }
  if (config_.inline_lines.empty()) return out;
  std::vector<std::string> lines;
  for (const auto& line : config_.inline_lines) {
    lines.push_back(render_option(line, "Error interpolating Inline", context.scope.build_data, context));
  }
  std::string text = inline_powershell(lines, variables(context), config_.debug_mode);
  out.push_back(
      {shown_inline_name("powershell-provisioner"), config_.binary ? text : normalize_script(text)});
  return out;
}

std::string PowershellProvisioner::command_for(const std::string& command, const std::string& path,
                                               StageContext& context) const {
  Value dot = command_dot(context, {{"Path", path}, {"Vars", config_.remote_env_var_path}});
  return render_option(command, "Error processing command", dot, context);
}

std::string PowershellProvisioner::elevate(Communicator& communicator, const std::string& command,
                                           const Deadline& deadline, StageContext& context) const {
  const Value& dot = context.scope.build_data;
  ElevatedTask task;
  task.command = command;
  task.user = render_option(config_.elevated_user, "Error interpolating elevated_user", dot, context);
  task.password =
      render_option(config_.elevated_password, "Error interpolating elevated_password", dot, context);
  task.name = "packer-" + random_uuid();
  task.path = fmt::format("C:/Windows/Temp/packer-elevated-shell-{}.ps1", random_uuid());
  during("Error preparing elevated powershell script",
         [&] { upload_text(communicator, task.path, elevated_script(task), 0644, deadline, context.stop); });
  return elevated_command(task.path);
}

void PowershellProvisioner::run_script(Communicator& communicator, const Script& script,
                                       StageContext& context) const {
  context.ui.say("Provisioning with powershell script: " + script.shown);
  Deadline deadline = Deadline::in(config_.start_retry_timeout);
  int status = retry_until(deadline, context, [&] {
    during("Error uploading ps script containing env vars", [&] {
      upload_text(communicator, config_.remote_env_var_path, variables(context), 0644, deadline,
                  context.stop);
    });
    during("Error uploading script", [&] {
      upload_text(communicator, config_.remote_path, script.text, 0644, deadline, context.stop);
    });
    std::string command =
        config_.elevated()
            ? elevate(communicator,
                      command_for(config_.elevated_execute_command, config_.remote_path, context), deadline,
                      context)
            : command_for(config_.execute_command, config_.remote_path, context);
    return run_script_command(communicator, command, context);
  });
  require_valid_exit(status, config_.valid_exit_codes);
}

/// Removes what was sent, by a script that is run as the others were; its exit code is nobody's concern.
void PowershellProvisioner::clean_up(Communicator& communicator, StageContext& context) const {
  std::string path = fmt::format("c:/Windows/Temp/packer-cleanup-{}.ps1", random_uuid());
  std::string text = clean_up_script({config_.remote_env_var_path, config_.remote_path, path});
  std::string command = command_for(config_.execute_command, path, context);
  Deadline deadline = Deadline::in(clean_up_time);
  auto ignore = [](std::string_view) {};
  retry_until(deadline, context, [&] {
    during("Error uploading cleanup script",
           [&] { upload_text(communicator, path, text, 0644, deadline, context.stop); });
    int status = communicator.run(command, ignore, ignore, deadline, context.stop);
    if (status != 0) context.log.line(fmt::format("the clean-up script ended with exit status {}", status));
  });
}

void PowershellProvisioner::run(Communicator& communicator, StageContext& context) {
  context.ui.say("Provisioning with Powershell...");
  for (const auto& script : scripts(context)) run_script(communicator, script, context);
  if (!config_.skip_clean) clean_up(communicator, context);
  if (config_.pause_after > Duration::zero()) {
    context.ui.say(
        fmt::format("Pausing {} after this provisioner...", format_go_duration(config_.pause_after)));
    sleep_for(config_.pause_after, context.stop);
  }
}

}  // namespace

ComponentEntry<Provisioner> powershell_provisioner() {
  return {"powershell", "Runs PowerShell scripts on a Windows machine.", powershell_options,
          [] { return std::make_unique<PowershellProvisioner>(); }};
}

}  // namespace kiln
