#include "cli/test_reports.h"

#include "base/file.h"
#include "report/junit.h"
#include "report/tap.h"

namespace kiln {

namespace {

/// A machine that did not come up has no check to show: it is a failed one itself.
TestSuite broken_suite(const std::string& name, const std::string& error) {
  TestSuite suite;
  suite.name = name;
  CheckResult check;
  check.name = "could be tested";
  check.status = CheckStatus::failed;
  check.message = error;
  suite.report.checks.push_back(std::move(check));
  return suite;
}

std::vector<TestSuite> suites_of(const TestedSubject& subject) {
  std::vector<TestSuite> out;
  for (const auto& result : *subject.results) {
    if (!result.error.empty()) out.push_back(broken_suite(subject.name, result.error));
    for (const auto& test : result.tests) {
      std::string name = subject.name + " / " + test.name;
      if (!test.error.empty()) out.push_back(broken_suite(name, test.error));
      if (test.report.checks.empty()) continue;
      TestSuite suite;
      suite.name = std::move(name);
      suite.report = test.report;
      suite.duration = test.duration;
      suite.time = test.began;
      out.push_back(std::move(suite));
    }
  }
  return out;
}

}  // namespace

void write_test_reports(const CommandOptions& options, const Redactor& redactor,
                        const std::vector<TestedSubject>& subjects) {
  if (options.junit.empty() && options.tap.empty()) return;
  std::vector<TestSuite> suites;
  for (const auto& subject : subjects) {
    for (auto& suite : suites_of(subject)) suites.push_back(std::move(suite));
  }
  if (!options.junit.empty()) write_file_atomically(options.junit, junit_xml(suites, &redactor));
  if (!options.tap.empty()) write_file_atomically(options.tap, tap_text(suites, &redactor));
}

}  // namespace kiln
