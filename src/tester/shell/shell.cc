#include "tester/shell/shell.h"

#include <fmt/format.h>

#include <deque>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/guest_script.h"
#include "kit/script_run.h"
#include "tester/shell/tap.h"

namespace kiln {

namespace {

struct ShellTestConfig {
  std::vector<std::string> inline_lines;
  std::string script;
  std::vector<std::string> scripts;
  std::vector<std::string> environment_vars;
  std::map<std::string, std::string> env;
  std::string execute_command = "chmod +x {{.Path}}; {{.Vars}} {{.Path}}";
  std::string inline_shebang;
  std::string remote_folder = "/tmp";
};

const OptionTable<ShellTestConfig>& shell_test_options() {
  using Config = ShellTestConfig;
  static const OptionTable<Config> table = [] {
    OptionTable<Config> made;
    made.add(&Config::inline_lines,
             {.name = "inline", .doc = "Commands, joined to one script, which is one check."});
    made.add(&Config::script,
             {.name = "script", .doc = "Path of a local script, which is one check.", .reads = true});
    made.add(
        &Config::scripts,
        {.name = "scripts", .doc = "Paths of local scripts, run in order; each is a check.", .reads = true});
    made.add(&Config::environment_vars,
             {.name = "environment_vars", .doc = "Variables as a list of \"key=value\"."});
    made.add(&Config::env, {.name = "env", .doc = "Variables as a map; they win over environment_vars."});
    made.add(&Config::execute_command,
             {.name = "execute_command",
              .default_text = "chmod +x {{.Path}}; {{.Vars}} {{.Path}}",
              .doc = "The command that runs a script: a template over .Vars, .Path and build data.",
              .raw = true});
    made.add(
        &Config::inline_shebang,
        {.name = "inline_shebang", .default_text = "/bin/sh -e", .doc = "Interpreter of inline scripts."});
    made.add(&Config::remote_folder,
             {.name = "remote_folder", .default_text = "/tmp", .doc = "Remote directory for the scripts."});
    return made;
  }();
  return table;
}

/// What a script said last, both streams as they came.
class LastLines {
 public:
  void add(std::string_view line) {
    lines_.emplace_back(trim_right(line));
    if (lines_.size() > 20) lines_.pop_front();
  }
  std::string text() const { return join({lines_.begin(), lines_.end()}, "\n"); }

 private:
  std::deque<std::string> lines_;
};

struct TestScript {
  std::string name;
  std::string text;
};

/// Sends one script, runs it, and tells its results.
class ScriptCheck {
 public:
  ScriptCheck(const TestScript& script, StageContext& context, std::function<void(CheckResult)> tell)
      : script_(script), context_(context), tell_(std::move(tell)), tap_(script.name, tell_with_time()) {}

  void run(Communicator& communicator, const std::string& path, const std::string& command) {
    during("Error uploading the test script", [&] {
      upload_text(communicator, path, script_.text, 0755, Deadline::in(std::chrono::minutes(5)),
                  context_.stop);
    });
    began_ = last_ = Clock::now();
    LineSplitter out([this](std::string_view line) { out_line(line); });
    LineSplitter err([this](std::string_view line) { any_line(line); });
    int status = communicator.run(
        command, [&](std::string_view bytes) { out.feed(bytes); },
        [&](std::string_view bytes) { err.feed(bytes); }, Deadline::never(), context_.stop);
    out.finish();
    err.finish();
    if (status == disconnected_status) {
      throw Error(ErrorKind::remote,
                  fmt::format("The machine went away while {} ran: {}", script_.name, last_lines_.text()));
    }
    if (is_tap_) {
      tap_.finish(status);
    } else {
      tell_whole(status);
    }
  }

 private:
  std::function<void(CheckResult)> tell_with_time() {
    return [this](CheckResult result) {
      auto now = Clock::now();
      result.duration = now - std::exchange(last_, now);
      tell_(std::move(result));
    };
  }
  void any_line(std::string_view line) {
    last_lines_.add(line);
    context_.log.line(fmt::format("{}: {}", script_.name, line));
  }
  void out_line(std::string_view line) {
    any_line(line);
    if (!is_tap_ && !said_something_ && !trim(line).empty()) is_tap_ = begins_tap(line);
    said_something_ = said_something_ || !trim(line).empty();
    if (is_tap_) tap_.line(line);
  }
  void tell_whole(int status) {
    CheckResult result;
    result.name = script_.name;
    result.duration = Clock::now() - began_;
    if (status != 0) {
      result.status = CheckStatus::failed;
      result.expected = "exit status 0";
      result.found = fmt::format("exit status {}", status);
      result.message = last_lines_.text();
    }
    tell_(std::move(result));
  }

  const TestScript& script_;
  StageContext& context_;
  std::function<void(CheckResult)> tell_;
  TapReader tap_;
  LastLines last_lines_;
  bool is_tap_ = false;
  bool said_something_ = false;
  Clock::time_point began_{}, last_{};
};

class ShellTester : public Tester {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = {};
    DecodeContext decode = input.decode("tester shell");
    shell_test_options().decode(input.config, config_, decode);
    check_raw_template("execute_command", config_.execute_command, input);
    config_.scripts = judge_scripts({config_.inline_lines, config_.script, config_.scripts}, input);
    const Value* vars = input.config.find("environment_vars");
    check_environment_vars(config_.environment_vars, vars != nullptr ? vars->range : input.config.range,
                           input.diagnostics);
  }

  TestReport run(const TestTarget& target, StageContext& context) override {
    TestReport report;
    std::string prefix = fmt::format("{}/kiln-test-{}", config_.remote_folder, hex_encode(random_bytes(6)));
    size_t number = 0;
    for (const auto& script : scripts(context)) {
      std::string path = fmt::format("{}-{}.sh", prefix, ++number);
      ScriptCheck check(script, context, [&](CheckResult result) {
        emit_check(context.ui, result);
        report.checks.push_back(std::move(result));
      });
      check.run(target.communicator, path, command_for(path, context));
    }
    return report;
  }

 private:
  std::vector<TestScript> scripts(StageContext& context) const {
    std::vector<TestScript> out;
    for (const auto& path : config_.scripts) {
      out.push_back(
          {path, normalize_script(during("Error opening the test script", [&] { return read_file(path); }))});
    }
    if (config_.inline_lines.empty()) return out;
    std::vector<std::string> lines;
    for (const auto& line : config_.inline_lines) {
      lines.push_back(render_option(line, "inline", context.scope.build_data, context));
    }
    std::string shebang = config_.inline_shebang.empty() ? "/bin/sh -e" : config_.inline_shebang;
    out.push_back({"inline: " + shown(lines),
                   normalize_script(inline_script_text(lines, shebang, !config_.inline_shebang.empty()))});
    return out;
  }

  /// The commands in a line, cut where it gets long.
  static std::string shown(const std::vector<std::string>& lines) {
    std::string text = replace_all(join(lines, "; "), "\n", " ");
    constexpr size_t most = 72;
    if (text.size() <= most) return text;
    size_t cut = most - 3;
    while (cut > 0 && (text[cut] & 0xC0) == 0x80) --cut;
    return text.substr(0, cut) + "...";
  }

  std::string command_for(const std::string& path, StageContext& context) const {
    auto variables = standard_variables(context.build, context.scope.build_data);
    add_environment_vars(config_.environment_vars, variables);
    for (const auto& [key, value] : config_.env) variables[key] = value;
    std::string words;
    for (const auto& [key, value] : variables)
      words += format_variable("%s='%s' ", key, escape_single_quotes(value));
    return render_option(config_.execute_command, "execute_command",
                         command_dot(context, {{"Vars", words}, {"Path", path}}), context);
  }

  ShellTestConfig config_;
};

}  // namespace

ComponentEntry<Tester> shell_tester() {
  return {"shell", "Runs scripts in the machine; their exit status, or the TAP they print, is the verdict.",
          shell_test_options, [] { return std::make_unique<ShellTester>(); }};
}

}  // namespace kiln
