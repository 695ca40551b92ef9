#include "core/image_testing.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "core/build_data.h"

namespace kiln {

std::string readiness_command(const std::string& what) {
  if (what == "systemd") {
    return "s=$(systemctl is-system-running --wait 2>/dev/null || systemctl is-system-running); "
           "case $s in running|degraded) exit 0;; esac; exit 1";
  }
  if (what == "cloud-init") {
    // After an error it no longer tells that its last stage still runs (the one that runs user data scripts); systemd does.
    return "command -v cloud-init >/dev/null || exit 0; cloud-init status --wait >/dev/null 2>&1; "
           "! systemctl list-jobs --no-legend 2>/dev/null | grep -q -E ' cloud-(init|config|final)'";
  }
  if (what.starts_with("port:")) {
    std::string port = what.substr(5);
    if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
        std::stoi(port) < 1 || std::stoi(port) > 65535)
      return "";
    return fmt::format(
        "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == \"0A\" {{ split($2, a, \":\"); if (a[2] == "
        "\"{:04X}\") found = 1 }} END {{ exit !found }}'",
        std::stoi(port));
  }
  if (what.starts_with("command:")) return std::string(trim(what.substr(8)));
  return "";
}

namespace {

/// The one provisioner of a throw-away machine: waits until it is ready, then runs all tests.
class TestRun : public Provisioner {
 public:
  TestRun(ImageTestPlan& plan, ImageTestResult& result) : plan_(plan), result_(result) {}
  void prepare(const PrepareInput&) override {}

  void run(Communicator& communicator, StageContext& context) override {
    wait_until_ready(communicator, context);
    if (plan_.visit) plan_.visit(communicator, context);
    for (auto& test : plan_.tests) run_test(test, communicator, context);
    if (!plan_.tests.empty()) tell(context.ui);
  }

 private:
  /// What does not become ready is a failed check; the tests run all the same, for they tell why.
  void wait_until_ready(Communicator& communicator, StageContext& context) {
    Deadline deadline = Deadline::in(plan_.wait_timeout);
    TestOutcome late;
    late.kind = late.name = "ready";
    late.began = std::chrono::system_clock::now();
    for (const auto& what : plan_.wait_for) {
      if (what == "ssh" || what == "connection") continue;  // the machine is only up once there is a way in
      context.ui.say(fmt::format("Waiting for {}...", what));
      if (become_ready(what, communicator, context, deadline)) continue;
      CheckResult check;
      check.group = what;
      check.name = "is ready";
      check.status = CheckStatus::failed;
      check.expected = fmt::format("ready within {}", format_go_duration(plan_.wait_timeout));
      check.found = "not ready";
      emit_check(context.ui, check);
      late.report.checks.push_back(std::move(check));
    }
    if (!late.report.checks.empty()) result_.tests.push_back(std::move(late));
  }

  bool become_ready(const std::string& what, Communicator& communicator, StageContext& context,
                    const Deadline& deadline) {
    std::string command = readiness_command(what), output;
    Sink keep = [&](std::string_view bytes) {
      output += bytes;
      if (output.size() > 4000) output.erase(0, output.size() - 2000);
    };
    for (;;) {
      output.clear();
      try {
        if (communicator.run(command, keep, keep, deadline, context.stop) == 0) return true;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::timeout) throw;
      }
      context.log.line(fmt::format("waiting for {}: {}", what, output));
      if (deadline.passed()) return false;
      sleep_for(std::chrono::seconds(1), context.stop);
    }
  }

  void run_test(PlannedTest& test, Communicator& communicator, StageContext& context) {
    TestOutcome outcome;
    outcome.kind = test.kind;
    outcome.name = test.name;
    outcome.began = std::chrono::system_clock::now();
    context.ui.say(
        fmt::format("Testing with {}{}...", test.kind, test.name == test.kind ? "" : " (" + test.name + ")"));
    auto start = Clock::now();
    try {
      TestTarget target{communicator, context.scope.build_data, plan_.artifact, plan_.uploads};
      outcome.report = test.tester->run(target, context);
    } catch (const Error& error) {
      if (context.stop.requested()) throw;
      outcome.error = error.message();
      context.ui.error(fmt::format("{}: {}", test.name, error.message()));
    }
    outcome.duration = Clock::now() - start;
    result_.tests.push_back(std::move(outcome));
  }

  /// All tests have run: now one that failed fails the machine.
  void tell(const Ui& ui) const {
    size_t passed = 0, failed = 0, skipped = 0, broken = 0, empty = 0;
    for (const auto& test : result_.tests) {
      passed += test.report.count(CheckStatus::passed);
      failed += test.report.count(CheckStatus::failed);
      skipped += test.report.count(CheckStatus::skipped);
      broken += test.error.empty() ? 0 : 1;
      empty += test.error.empty() && test.report.checks.empty() ? 1 : 0;
    }
    std::string words = fmt::format("{} check{} passed", passed, passed == 1 ? "" : "s");
    if (failed > 0) words += fmt::format(", {} failed", failed);
    if (skipped > 0) words += fmt::format(", {} skipped", skipped);
    if (broken > 0) words += fmt::format(", {} test{} could not run", broken, broken == 1 ? "" : "s");
    if (empty > 0) words += fmt::format(", {} test{} had no check at all", empty, empty == 1 ? "" : "s");
    if (failed + broken + empty > 0) throw Error(ErrorKind::user, "the image did not pass its tests: " + words);
    ui.say(words + ".");
  }

  ImageTestPlan& plan_;
  ImageTestResult& result_;
};

/// A machine that is thrown away need not say so, nor that there is a time limit which every test has.
class PlainWords : public EventSink {
 public:
  explicit PlainWords(EventSink& out) : out_(out) {}
  void emit(const Event& event) override {
    bool noise = event.kind == EventKind::say &&
                 (event.text.starts_with("Setting a ") || event.text.starts_with("Deleting output directory"));
    if (!noise) out_.emit(event);
  }
  std::string ask(const std::string& stage, const std::string& question, const Stop& stop) override {
    return out_.ask(stage, question, stop);
  }

 private:
  EventSink& out_;
};

std::unique_ptr<Builder> make_machine(const ImageTestPlan& plan, const BuildInfo& info, const Components& components,
                                      Diagnostics& diagnostics) {
  const auto* entry = find_component(components.builders, plan.builder_type);
  if (!entry) {
    diagnostics.error(fmt::format("there is no builder {} to start a machine with", go_quote(plan.builder_type)));
    return nullptr;
  }
  auto builder = entry->make();
  builder->prepare({plan.machine, info, diagnostics});
  return builder;
}

BuildInfo machine_info(const ImageTestPlan& plan) {
  BuildInfo info = plan.info;
  info.name = plan.name;
  info.display_name = plan.name;
  info.builder_type = plan.builder_type;
  info.force = true;
  return info;
}

}  // namespace

bool ImageTestResult::passed() const {
  if (!error.empty() || cancelled) return false;
  return std::all_of(tests.begin(), tests.end(),
                     [](const TestOutcome& test) { return test.error.empty() && test.report.passed(); });
}

std::optional<std::string> wrong_wait_for(const std::string& what) {
  if (what == "ssh" || what == "connection" || !readiness_command(what).empty()) return std::nullopt;
  return fmt::format(
      "{} is nothing that can be waited for; known are ssh, systemd, cloud-init, port:NUMBER and command:TEXT",
      go_quote(what));
}

void check_image_test(const ImageTestPlan& plan, const Components& components, Diagnostics& diagnostics) {
  make_machine(plan, machine_info(plan), components, diagnostics);
}

ImageTestResult run_image_test(ImageTestPlan& plan, const Components& components, const RunOptions& options,
                               EventSink& sink, Journal& journal, const Log& log, const Stop& stop) {
  ImageTestResult result;
  Diagnostics diagnostics;
  Plan one;
  Stage stage;
  stage.throw_away = true;
  stage.states = plan.states;
  stage.info = machine_info(plan);
  stage.source.type = plan.builder_type;
  stage.source.name = plan.name;
  stage.builder = make_machine(plan, stage.info, components, diagnostics);
  for (const auto& item : diagnostics.items()) {
    if (item.severity == Severity::error)
      result.error += (result.error.empty() ? "" : "\n") + (item.summary.empty() ? item.detail : item.summary);
  }
  if (!result.error.empty()) return result;
  stage.info.scope.build_data = placeholder_build_data(stage.builder->generated_data_names());
  PlannedProvisioner run;
  run.declaration.type = "test";
  run.declaration.timeout = plan.timeout;
  run.declaration.body = constant_body(Value::empty_object());
  run.component = std::make_unique<TestRun>(plan, result);
  stage.provisioners.push_back(std::move(run));
  one.stages.push_back(std::move(stage));
  PlainWords words(sink);
  StageResult ended = run_plan(one, options, words, journal, log, stop)[0];
  result.cancelled = ended.cancelled;
  result.evidence = ended.evidence;
  result.duration = ended.duration;
  bool told = std::any_of(result.tests.begin(), result.tests.end(),
                          [](const TestOutcome& test) { return !test.error.empty() || !test.report.passed(); });
  if (!told) result.error = ended.error;
  return result;
}

}  // namespace kiln
