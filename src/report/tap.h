// Results of tests as TAP, version 14 (testanything.org).
#pragma once
#include <string>
#include <vector>

#include "report/junit.h"

namespace kiln {

/// One numbered line a check over all suites, "SUITE: GROUP NAME"; failures carry their details as YAML. Secrets that
/// `redactor` knows are masked.
std::string tap_text(const std::vector<TestSuite>& suites, const Redactor* redactor = nullptr);

}  // namespace kiln
