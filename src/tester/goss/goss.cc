#include "tester/goss/goss.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/guest_errand.h"
#include "lang/yaml.h"
#include "tester/goss/verdict.h"

namespace kiln {

namespace {

struct GossConfig {
  std::string file;
  std::string vars;
  Value vars_inline;
  std::map<std::string, std::string> env;
  Duration retry_timeout{0};
  Duration sleep = std::chrono::seconds(1);
  ErrandConfig errand;
};

const OptionTable<GossConfig>& goss_options() {
  static const OptionTable<GossConfig> table = [] {
    OptionTable<GossConfig> made;
    made.add(&GossConfig::file, {.name = "file", .doc = "The gossfile.", .required = true, .reads = true});
    made.add(&GossConfig::vars,
             {.name = "vars",
              .doc = "A YAML or JSON file with what the gossfile's templates know as .Vars.",
              .reads = true});
    made.add(&GossConfig::vars_inline,
             {.name = "vars_inline", .type = "map", .doc = "More of .Vars; it wins over the file's."});
    made.add(&GossConfig::env,
             {.name = "env",
              .doc = "What the gossfile's templates find in .Env besides this program's environment."});
    made.add(&GossConfig::retry_timeout, {.name = "retry_timeout",
                                          .default_text = "0s",
                                          .doc = "Ask again until everything passes, at most so long.",
                                          .in_key = false});
    made.add(&GossConfig::sleep,
             {.name = "sleep", .default_text = "1s", .doc = "The pause between two tries.", .in_key = false});
    made.include(&GossConfig::errand, errand_options());
    return made;
  }();
  return table;
}

std::map<std::string, std::string> own_environment() {
  std::map<std::string, std::string> out;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    std::string text = *entry;
    if (auto equals = text.find('='); equals != std::string::npos)
      out[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return out;
}

/// Reads, and notes what was read.
std::function<std::string(const std::string&)> noting_reader(std::vector<std::string>& noted) {
  return [&noted](const std::string& path) {
    noted.push_back(path);
    return read_file(path);
  };
}

GossFiles goss_files(std::vector<std::string>& noted) {
  GossFiles files;
  files.read = noting_reader(noted);
  files.matching = [](const std::string& pattern) {
    std::vector<std::string> out;
    for (const auto& path : glob(pattern)) out.push_back(path.string());
    return out;
  };
  return files;
}

void add_variables(const std::string& path, const SourceRange& place, Value& vars, Diagnostics& diagnostics) {
  std::string text;
  try {
    text = read_file(path);
  } catch (const Error& error) {
    diagnostics.error(fmt::format("The file of variables cannot be read: {}", error.message()), "", place);
    return;
  }
  Value read = parse_yaml(std::make_shared<SourceFile>(SourceFile{path, text}), diagnostics);
  if (read.is_object()) {
    vars = read;
  } else if (!read.is_null()) {
    diagnostics.error(fmt::format("{} is to hold a mapping of variables", path), "", read.range);
  }
}

/// One asking of everything: gives out results in the gossfile's order as they come.
class GossRun {
 public:
  GossRun(const std::vector<GossResource>& resources, std::function<void(const CheckResult&)> tell)
      : resources_(resources), tell_(std::move(tell)) {}

  TestReport run(Communicator& communicator, const GossConfig& config, StageContext& context);

 private:
  void settle(size_t index, const GossRecord& record, const GossRecord& machine) {
    std::chrono::nanoseconds took = Clock::now() - since_;
    since_ = Clock::now();
    auto results = judge_goss(resources_[index], record, machine);
    if (!results.empty()) results.front().duration = took;
    for (auto& result : results) {
      tell_(result);
      report_.checks.push_back(std::move(result));
    }
  }
  /// Those that need no machine come between those that do.
  void settle_before(size_t index, const GossRecord& machine) {
    for (; next_ < index; ++next_) settle(next_, {}, machine);
  }

  const std::vector<GossResource>& resources_;
  std::function<void(const CheckResult&)> tell_;
  TestReport report_;
  size_t next_ = 0;
  Clock::time_point since_ = Clock::now();
};

TestReport GossRun::run(Communicator& communicator, const GossConfig& config, StageContext& context) {
  std::string nonce = hex_encode(random_bytes(12));
  Deadline deadline = Deadline::in(std::chrono::milliseconds(goss_script_budget_ms(resources_)));
  GossAnswers* machine = nullptr;
  GossAnswers answers(nonce, [&](size_t index, const GossRecord& record) {
    settle_before(index, machine->machine());
    settle(index, record, machine->machine());
    next_ = index + 1;
  });
  machine = &answers;
  std::string complaints;
  since_ = Clock::now();
  int status = run_errand(
      communicator, config.errand, goss_script(resources_, nonce),
      [&](std::string_view bytes) { answers.feed(bytes); },
      [&](std::string_view bytes) { complaints += bytes; }, deadline, context);
  if (!answers.complete()) {
    throw Error(ErrorKind::remote,
                fmt::format("The script of goss's checks broke off with exit status {}: {}", status,
                            std::string(trim(complaints))));
  }
  settle_before(resources_.size(), answers.machine());
  return std::move(report_);
}

class GossTester : public Tester {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = {};
    resources_.clear();
    read_.clear();
    DecodeContext decode = input.decode("tester goss");
    goss_options().decode(input.config, config_, decode);
    check_errand(config_.errand, input);
    auto place = [&](const char* key) {
      const Value* value = input.config.find(key);
      return value != nullptr ? value->range : input.config.range;
    };
    if (config_.file.empty()) return;
    GossTemplateScope scope{Value::empty_object(), own_environment(), noting_reader(read_)};
    if (!config_.vars.empty()) add_variables(config_.vars, place("vars"), scope.vars, input.diagnostics);
    if (config_.vars_inline.is_object()) {
      for (const auto& member : config_.vars_inline.as_object()) scope.vars.set(member.key, member.value);
    }
    for (const auto& [name, value] : config_.env) scope.env[name] = value;
    std::error_code missing;
    if (!fs::exists(config_.file, missing)) {
      input.diagnostics.error(fmt::format("The gossfile {} is not there", config_.file), "", place("file"));
      return;
    }
    resources_ = load_goss(config_.file, scope, goss_files(read_), input.diagnostics);
    if (resources_.empty() && !input.diagnostics.has_errors()) {
      input.diagnostics.error(fmt::format("The gossfile {} checks nothing", config_.file), "", place("file"));
    }
  }

  std::vector<std::string> reads() const override { return read_; }

  TestReport run(const TestTarget& target, StageContext& context) override {
    Deadline deadline = Deadline::in(config_.retry_timeout);
    while (true) {
      // A try that may be repeated shows its results when it was the last.
      bool may_repeat = config_.retry_timeout > Duration::zero();
      GossRun one(resources_, [&](const CheckResult& result) {
        if (!may_repeat) emit_check(context.ui, result);
      });
      TestReport report = one.run(target.communicator, config_, context);
      bool again = may_repeat && !report.passed() &&
                   deadline.left() > std::chrono::duration_cast<Millis>(config_.sleep);
      if (!again) {
        for (const auto& result : report.checks) {
          if (may_repeat) emit_check(context.ui, result);
        }
        return report;
      }
      context.log.line(
          fmt::format("goss: {} checks failed, asking again", report.count(CheckStatus::failed)));
      sleep_for(config_.sleep, context.stop);
    }
  }

 private:
  GossConfig config_;
  std::vector<GossResource> resources_;
  std::vector<std::string> read_;  ///< by prepare(): the gossfile, what it includes, what its templates read
};

}  // namespace

ComponentEntry<Tester> goss_tester() {
  return {"goss", "Holds the machine against a gossfile; goss itself is not needed.", goss_options,
          [] { return std::make_unique<GossTester>(); }};
}

}  // namespace kiln
