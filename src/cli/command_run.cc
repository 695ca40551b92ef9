// run: a pipeline's stages, each after what it needs. And `plan` of a pipeline.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/pipeline_run.h"
#include "cli/pipeline_state.h"
#include "cli/pipeline_text.h"
#include "cli/signals.h"

namespace kiln {

namespace {

/// Takes up how the last run was called. False: there is none, which was said.
bool resume(Invocation& invocation, CommandOptions& options, const fs::path& path) {
  auto last = read_last_run(fs::absolute(path));
  if (!last) {
    invocation.ui().error(fmt::format("Error: there is no run of {} to resume. Leave -resume out.", path.string()));
    return false;
  }
  if (last->finished)
    invocation.ui().say("The last run went well to its end; stages are up to date unless their inputs changed.");
  std::vector<std::string> missing;
  for (const auto& name : last->left_out) {
    bool given = std::any_of(options.variables.begin(), options.variables.end(),
                             [&](const auto& one) { return one.first == name; });
    if (!given) missing.push_back("-var " + name + "=...");
  }
  if (!missing.empty()) {
    invocation.ui().error("Error: values of sensitive variables are not kept; give them again: " + join(missing, " "));
    return false;
  }
  // What is given now comes later and wins.
  options.variables.insert(options.variables.begin(), last->variables.begin(), last->variables.end());
  options.variable_files.insert(options.variable_files.begin(), last->variable_files.begin(),
                                last->variable_files.end());
  if (options.targets.empty()) options.targets = last->targets;
  return true;
}

void remember(const CommandOptions& options, LoadedPipeline& loaded, bool finished) {
  LastRun last;
  last.targets = options.targets;
  last.finished = finished;
  for (const auto& file : options.variable_files) last.variable_files.push_back(fs::absolute(file).string());
  for (const auto& [name, value] : options.variables) {
    const HclVariable* variable = loaded.input.config->find_variable(name);
    if (variable && variable->sensitive) last.left_out.push_back(name);
    else last.variables.emplace_back(name, value);
  }
  write_last_run(loaded.path, last);
}

/// Variable files are looked for where the person is, not where the pipeline lies.
void make_paths_absolute(CommandOptions& options) {
  for (auto* path : {&options.artifact_env, &options.artifact_json, &options.junit, &options.tap}) {
    if (!path->empty()) *path = fs::absolute(*path).string();
  }
}

}  // namespace

int run_run(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (options.fail_fast && options.keep_going)
    throw Error(ErrorKind::user, "Error: -fail-fast and -keep-going exclude each other.");
  fs::path path = find_pipeline(arguments);
  if (options.resume && !resume(invocation, options, path)) return 1;
  auto loaded = load_pipeline(invocation, options, path);
  if (!loaded) return 1;
  make_paths_absolute(options);
  Ui ui = invocation.ui();
  Stop stop;
  // Before the first thread: those started later inherit the blocked signals.
  SignalWatch signals(stop, [&](const std::string& name) { ui.say(fmt::format("Stopping after {}...", name)); });
  auto started = Clock::now();
  PipelineRun run(invocation, options, *loaded);
  if (!run.forecast(true)) return 1;
  show_what_runs(invocation, *loaded->pipeline, run);
  remember(options, *loaded, false);
  bool well = run.run(stop);
  report_run(invocation, *loaded->pipeline, run, Clock::now() - started, stop.requested());
  bool written = write_hand_over(invocation, options, *loaded->pipeline, run, well);
  if (well) remember(options, *loaded, true);
  return well && written ? 0 : 1;
}

int run_pipeline_plan(Invocation& invocation, CommandOptions& options, const fs::path& path) {
  auto loaded = load_pipeline(invocation, options, path);
  if (!loaded) return 1;
  PipelineRun run(invocation, options, *loaded);
  if (!run.forecast(false)) return 1;
  show_forecast(invocation, *loaded->pipeline, run, options.json, options.steps);
  return 0;
}

}  // namespace kiln
