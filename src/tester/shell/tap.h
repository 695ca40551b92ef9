// TAP, the Test Anything Protocol (testanything.org, versions 12 to 14), as a script prints it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tester.h"

namespace kiln {

/// Whether a line is one that TAP begins with: a plan or its version.
bool begins_tap(std::string_view line);

/// Takes TAP line by line; tells each result when it is complete (its YAML and comments follow it).
class TapReader {
 public:
  /// `group` becomes that of every result.
  TapReader(std::string group, std::function<void(CheckResult)> tell) : group_(std::move(group)), tell_(std::move(tell)) {}
  void line(std::string_view line);
  /// The script ended so. What the plan promised and did not come, and a failure of the script itself, are results.
  void finish(int exit_status);

 private:
  void test_line(std::string_view text, bool good);
  void flush();
  void add_failure(std::string name, std::string message);
  void end_yaml();

  std::string group_;
  std::function<void(CheckResult)> tell_;
  std::optional<CheckResult> pending_;
  std::optional<size_t> plan_;
  std::string skip_all_;
  std::string nested_;  ///< failures of a subtest, which come before the line of their parent
  std::string yaml_;
  bool in_yaml_ = false;
  bool bailed_ = false;
  bool failed_ = false;
  size_t count_ = 0;
};

}  // namespace kiln
