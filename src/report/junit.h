// Results of tests as JUnit's XML, which CI systems read.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "base/redact.h"
#include "core/tester.h"

namespace kiln {

/// What one tester found in one machine.
struct TestSuite {
  std::string name;  ///< "debian / goss": the stage and its tester
  TestReport report;
  std::chrono::nanoseconds duration{0};
  std::chrono::system_clock::time_point time{};  ///< when it began
  std::string hostname;                          ///< of the machine under test; may be empty
};

/// A whole document, well-formed whatever the checks say: bytes that XML cannot hold become U+FFFD, escape sequences
/// of terminals are dropped. Secrets that `redactor` knows are masked.
std::string junit_xml(const std::vector<TestSuite>& suites, const Redactor* redactor = nullptr);

}  // namespace kiln
