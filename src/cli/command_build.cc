#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "base/text.h"
#include "cli/build_report.h"
#include "cli/command.h"
#include "cli/ec2_server.h"
#include "cli/signals.h"
#include "cli/state_planning.h"
#include "cli/template_input.h"
#include "core/engine.h"

namespace kiln {

namespace {

constexpr const char* no_builds =
    "Error: No builds to run\n\n"
    "A build command cannot run without at least one build to process. If the only or\n"
    "except flags have been specified at run time check that at least one build is\n"
    "selected for execution.\n\n";

/// What -only goes by.
const std::string& build_name(const Stage& stage) {
  return stage.source.display_name.empty() ? stage.info.name : stage.source.display_name;
}

/// The command line that runs this build alone again. Values of variables are left to the person where they
/// are given by -var: they may be secret.
std::string reproduce_command(const Invocation& invocation, const CommandOptions& options,
                              const std::string& path, const Stage& stage) {
  std::string command = "cd " + shell_quote(fs::current_path().string()) + " && " + invocation.program +
                        " build -on-error=ask -only=" + shell_quote(build_name(stage));
  for (const auto& file : options.variable_files) command += " -var-file=" + shell_quote(file);
  for (const auto& [name, value] : options.variables) command += " -var " + shell_quote(name + "=...");
  return command + " " + shell_quote(path);
}

/// Runs the plan under the signals' eye. Returns whether everything went well.
bool run_stages(Invocation& invocation, const CommandOptions& options, const std::string& path, Plan& plan) {
  Ui ui = invocation.ui();
  Stop stop;
  // Before the first thread: those started later inherit the blocked signals.
  SignalWatch signals(stop, [&](const std::string& name) {
    ui.say(fmt::format("Cancelling build after receiving {}", name));
  });
  if (options.debug) ui.say("Debug mode enabled. Builds will not be parallelized.");
  std::vector<std::string> names;
  for (const auto& stage : plan.stages) names.push_back(stage.info.display_name);
  invocation.renderer->announce(names);

  RunOptions run;
  run.parallel_builds = options.debug ? 1 : options.parallel_builds;
  run.evidence_root = state_directory() / "evidence";
  run.redactor = invocation.redactor.get();
  run.reproduce_command = [&](const Stage& stage) {
    return reproduce_command(invocation, options, path, stage);
  };
  auto journal = open_journal(state_directory(), invocation.run_id);
  auto started = Clock::now();
  auto results = run_plan(plan, run, *invocation.renderer, *journal, *invocation.log, stop);
  for (const auto& stage : plan.stages) {
    if (!stage.states) continue;
    trim_states(*stage.states->cache);  // all stages share it
    break;
  }
  return report_results(results, Clock::now() - started, stop.requested(), ui);
}

}  // namespace

int run_build(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  std::optional<LocalEc2> local_ec2;  // before the template is read: it may look at the environment
  if (options.local_ec2) local_ec2.emplace(invocation);
  auto loaded = load_template(invocation, options, arguments[0], DataSources::run);
  if (!loaded) return 1;
  Diagnostics diagnostics;
  Plan plan = plan_template(invocation, options, *loaded, diagnostics);
  // Packer's order: it decides colours, the order of results, and who comes first with -parallel-builds.
  if (!loaded->hcl) {
    std::stable_sort(plan.stages.begin(), plan.stages.end(),
                     [](auto& a, auto& b) { return a.info.name < b.info.name; });
  }
  Ui ui = invocation.ui();
  bool wrong = diagnostics.has_errors();
  if (wrong)
    ui.error(mistakes_text(*loaded, diagnostics));
  else if (!diagnostics.empty())
    ui.say(mistakes_text(*loaded, diagnostics));
  if (plan.stages.empty()) {
    if (!wrong) ui.error(no_builds);
    return 1;
  }
  if (wants_states(options, false) && !plan_states(invocation, options, arguments[0], plan)) return 1;
  bool well = run_stages(invocation, options, arguments[0], plan);
  return well && !wrong ? 0 : 1;
}

}  // namespace kiln
