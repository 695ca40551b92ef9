// The contract of tests of a finished image: what is asked of a machine that was started afresh from an artifact.
// Ours, not Packer's.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "core/artifact.h"
#include "core/communicator.h"
#include "core/stage_context.h"

namespace kiln {

/// How one check ended. `skipped` is what the test itself leaves out (pending, conditions not met).
enum class CheckStatus { passed, failed, skipped };
const char* to_string(CheckStatus status);  ///< "passed", "failed", "skipped"

/// One check, as JUnit, TAP and people see it. A plain value.
struct CheckResult {
  std::string group;     ///< what belongs together: a file, a described resource ("Port 8080"); may be empty
  std::string name;      ///< "is expected to be listening"
  CheckStatus status = CheckStatus::passed;
  std::string expected;  ///< of a failure, as far as it can be told
  std::string found;
  std::string message;   ///< everything else: the failure's text, or why it was skipped
  std::string place;     ///< FILE:LINE of the check, where it has one
  std::chrono::nanoseconds duration{0};
};

struct TestReport {
  std::vector<CheckResult> checks;
  /// No check failed, and there was at least one: a test that tests nothing has not passed.
  bool passed() const;
  size_t count(CheckStatus status) const;
};

/// The machine under test. It is a throw-away copy: what a test does to it is gone afterwards.
struct TestTarget {
  Communicator& communicator;
  Value build_data;          ///< Host, Port, User, Password, SSHPrivateKey (PEM text), ConnType, ...: an object
  const Artifact& artifact;  ///< what was started
  /// What the template sent into the machine: (absolute local path, path in the machine), for checks derived from it.
  std::vector<std::pair<std::string, std::string>> uploads;
};

/// Contract: prepare() looks at files the options name and for the programs needed on this host, so that nothing is
/// started in vain; run() asks and reports. It throws Error only when it could not ask at all (the machine went
/// away, the tool crashed); a failing check is a result. Each result is also emitted as it comes (emit_check).
class Tester {
 public:
  virtual ~Tester() = default;
  virtual void prepare(const PrepareInput& input) = 0;
  virtual TestReport run(const TestTarget& target, StageContext& context) = 0;
  /// Local files and directories on which the result depends, beyond those that options name. After prepare().
  virtual std::vector<std::string> reads() const { return {}; }
};

/// Tells `ui` of one result (EventKind::check).
void emit_check(const Ui& ui, const CheckResult& result);

}  // namespace kiln
