#include "tester/drift/drift.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <deque>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/guest_errand.h"
#include "kit/guest_script.h"
#include "kit/script_run.h"

namespace kiln {

namespace {

/// What itamae says of a resource that it would change: "mode will be '0600'", "exist will change from
/// 'false' to 'true'".
constexpr const char* itamae_change = R"(\] .*\bwill (change from|be) ')";

struct DriftConfig {
  std::string command;
  std::string recipe;
  std::string node_json;
  std::string directory;
  std::string changed_pattern = itamae_change;
  std::vector<std::string> environment_vars;
  std::map<std::string, std::string> env;
  ErrandConfig errand;
};

const OptionTable<DriftConfig>& drift_options() {
  static const OptionTable<DriftConfig> table = [] {
    OptionTable<DriftConfig> made;
    made.add(&DriftConfig::command,
             {.name = "command",
              .doc = "What to run in the machine: shell text that changes nothing, a dry run."});
    made.add(&DriftConfig::recipe,
             {.name = "recipe",
              .doc = "Instead of a command: the itamae recipe that is run dry, relative to the directory."});
    made.add(&DriftConfig::node_json,
             {.name = "node_json", .doc = "itamae's JSON of node attributes, relative to the directory."});
    made.add(&DriftConfig::directory, {.name = "directory",
                                       .doc = "A local directory; it is sent, and the command runs in it.",
                                       .reads = true});
    made.add(&DriftConfig::changed_pattern, {.name = "changed_pattern",
                                             .default_text = itamae_change,
                                             .doc = "A regular expression: a line of output that it fits "
                                                    "tells of a change. The default is itamae's."});
    made.add(&DriftConfig::environment_vars,
             {.name = "environment_vars", .doc = "Variables as a list of \"key=value\"."});
    made.add(&DriftConfig::env,
             {.name = "env", .doc = "Variables as a map; they win over environment_vars."});
    made.include(&DriftConfig::errand, errand_options());
    return made;
  }();
  return table;
}

/// Lines without a terminal's colours.
std::string plain_line(std::string_view line) {
  static const RE2 colours("\033\\[[0-9;]*m");
  std::string out(trim_right(line));
  RE2::GlobalReplace(&out, colours, "");
  return out;
}

class DriftTester : public Tester {
 public:
  void prepare(const PrepareInput& input) override;
  TestReport run(const TestTarget& target, StageContext& context) override;

 private:
  std::string command_text(StageContext& context) const;
  std::string script(const std::string& directory, StageContext& context) const;
  CheckResult verdict(const std::string& name, int status, const std::vector<std::string>& changes,
                      const std::deque<std::string>& last) const;

  DriftConfig config_;
};

void DriftTester::prepare(const PrepareInput& input) {
  config_ = {};
  DecodeContext decode = input.decode("tester drift");
  drift_options().decode(input.config, config_, decode);
  check_errand(config_.errand, input);
  auto place = [&](const char* key) {
    const Value* value = input.config.find(key);
    return value != nullptr ? value->range : input.config.range;
  };
  check_environment_vars(config_.environment_vars, place("environment_vars"), input.diagnostics);
  if (config_.command.empty() == config_.recipe.empty()) {
    input.diagnostics.error("One of command and recipe says what to run", "", place("command"));
  }
  if (!config_.node_json.empty() && config_.recipe.empty()) {
    input.diagnostics.error("node_json belongs to a recipe", "", place("node_json"));
  }
  RE2 pattern(config_.changed_pattern, RE2::Quiet);
  if (!pattern.ok()) {
    input.diagnostics.error("changed_pattern: error parsing regexp: " + pattern.error(), "",
                            place("changed_pattern"));
  }
  std::error_code error;
  if (config_.directory.empty()) return;
  if (!fs::is_directory(config_.directory, error)) {
    input.diagnostics.error(fmt::format("The directory {} is not there", config_.directory), "",
                            place("directory"));
    return;
  }
  for (auto [name, path] : {std::pair{"recipe", config_.recipe}, std::pair{"node_json", config_.node_json}}) {
    if (path.empty() || path.starts_with('/') || fs::exists(fs::path(config_.directory) / path, error))
      continue;
    input.diagnostics.error(fmt::format("{} is not in {}", path, config_.directory), "", place(name));
  }
}

std::string DriftTester::command_text(StageContext& context) const {
  if (config_.recipe.empty())
    return render_option(config_.command, "command", context.scope.build_data, context);
  std::string out = "itamae local --dry-run --no-color";
  if (!config_.node_json.empty()) out += " -j " + shell_quote(config_.node_json);
  return out + " " + shell_quote(config_.recipe);
}

std::string DriftTester::script(const std::string& directory, StageContext& context) const {
  std::map<std::string, std::string> variables;
  add_environment_vars(config_.environment_vars, variables);
  for (const auto& [key, value] : config_.env) variables[key] = value;
  std::string out;
  for (const auto& [key, value] : variables) out += fmt::format("export {}={}\n", key, shell_quote(value));
  if (!directory.empty()) out += fmt::format("cd {} || exit 1\n", shell_quote(directory));
  return out + command_text(context) + "\n";
}

CheckResult DriftTester::verdict(const std::string& name, int status, const std::vector<std::string>& changes,
                                 const std::deque<std::string>& last) const {
  CheckResult result;
  result.name = name;
  if (status == 0 && changes.empty()) return result;
  result.status = CheckStatus::failed;
  result.expected = "exit status 0 and no change";
  if (status != 0) {
    result.found = fmt::format("exit status {}", status);
    result.message = join({last.begin(), last.end()}, "\n");
    if (status == 127) result.message += "\nthe command is not in the machine";
  } else {
    result.found = changes.size() == 1 ? "1 change" : fmt::format("{} changes", changes.size());
    result.message = join(changes, "\n");
  }
  return result;
}

TestReport DriftTester::run(const TestTarget& target, StageContext& context) {
  std::string directory;
  auto began = Clock::now();
  if (!config_.directory.empty()) {
    directory = fmt::format("{}/kiln-drift-{}", config_.errand.remote_folder, hex_encode(random_bytes(6)));
    during("Error sending the directory", [&] {
      target.communicator.upload_tree(config_.directory, directory, {},
                                      Deadline::in(std::chrono::minutes(10)), context.stop);
    });
  }
  RE2 pattern(config_.changed_pattern, RE2::Quiet);
  std::vector<std::string> changes;
  std::deque<std::string> last;
  auto take = [&](std::string_view raw) {
    std::string line = plain_line(raw);
    context.log.line("drift: " + line);
    last.push_back(line);
    if (last.size() > 20) last.pop_front();
    if (RE2::PartialMatch(line, pattern)) changes.emplace_back(trim(line));
  };
  LineSplitter out(take), err(take);
  int status = run_errand(
      target.communicator, config_.errand, script(directory, context),
      [&](std::string_view bytes) { out.feed(bytes); }, [&](std::string_view bytes) { err.feed(bytes); },
      Deadline::never(), context);
  out.finish();
  err.finish();
  std::string name = config_.recipe.empty() ? std::string(trim(config_.command)) : "itamae " + config_.recipe;
  CheckResult result = verdict(replace_all(name, "\n", "; "), status, changes, last);
  result.duration = Clock::now() - began;
  emit_check(context.ui, result);
  return {{result}};
}

}  // namespace

ComponentEntry<Tester> drift_tester() {
  return {"drift", "Runs a dry run, itamae's or another, that must find nothing to change.",
          drift_options, [] { return std::make_unique<DriftTester>(); }};
}

}  // namespace kiln
