// A test of a finished image: a machine started afresh from it, asked, and thrown away. It runs as a build of which
// nothing is kept, so it has a build's log, evidence, timeouts and clean-up.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/components.h"
#include "core/engine.h"
#include "core/tester.h"

namespace kiln {

/// One test block, ready to run.
struct PlannedTest {
  std::string kind;
  std::string name;
  std::unique_ptr<Tester> tester;
  Value config;  ///< as decoded; prepared already
};

/// Tests that share a machine.
struct ImageTestPlan {
  std::string name;          ///< "app": what the events are about
  std::string builder_type;  ///< what starts the machine
  Value machine;             ///< its configuration (Builder::fresh_machine, with what the test changes)
  std::vector<std::string>
      wait_for;  ///< "systemd", "cloud-init", "port:8080", "command:curl -f localhost"; the way in always
  std::chrono::nanoseconds wait_timeout{
      std::chrono::minutes(5)};  ///< for all of wait_for; then the tests run all the same
  std::chrono::nanoseconds timeout{std::chrono::minutes(15)};      ///< of waiting and testing
  std::vector<PlannedTest> tests;
  Artifact artifact;
  std::vector<std::pair<std::string, std::string>> uploads;
  /// Done once the machine is ready, before the tests (`shell`).
  std::function<void(Communicator& communicator, StageContext& context)> visit;
  std::shared_ptr<const StatePlan> states;  ///< the machine is one of these states brought back, where one can be used
  BuildInfo info;            ///< display_name and names are set from `name`
};

/// What came of one test.
struct TestOutcome {
  std::string kind;
  std::string name;
  TestReport report;
  std::string error;  ///< it could not ask: why
  std::chrono::system_clock::time_point began{};
  std::chrono::nanoseconds duration{0};
};

struct ImageTestResult {
  std::vector<TestOutcome> tests;
  std::string error;  ///< the machine did not come up, or was not ready, ...; empty: see the tests
  bool cancelled = false;
  std::filesystem::path evidence;
  std::chrono::nanoseconds duration{0};
  bool passed() const;
};

/// nullopt for a word that is known as something to wait for; else what is wrong with it.
std::optional<std::string> wrong_wait_for(const std::string& what);

/// The shell command that ends with 0 once the machine is ready for `what`, else it is run again. Empty: there is no such
/// thing to wait for. Pure.
std::string readiness_command(const std::string& what);

/// Checks the machine's configuration. Mistakes are told in `diagnostics`.
void check_image_test(const ImageTestPlan& plan, const Components& components, Diagnostics& diagnostics);

/// Starts, waits, tests, throws away. Runs on the calling thread.
ImageTestResult run_image_test(ImageTestPlan& plan, const Components& components, const RunOptions& options,
                               EventSink& sink, Journal& journal, const Log& log, const Stop& stop);

}  // namespace kiln
