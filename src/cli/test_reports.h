// Results of tests as JUnit XML and TAP.
#pragma once
#include <string>
#include <vector>

#include "cli/command.h"
#include "core/image_testing.h"

namespace kiln {

/// The tests of one stage or image.
struct TestedSubject {
  std::string name;
  const std::vector<ImageTestResult>* results;
};

/// -junit and -tap, where given. Throws Error{user} when a file cannot be written.
void write_test_reports(const CommandOptions& options, const Redactor& redactor,
                        const std::vector<TestedSubject>& subjects);

}  // namespace kiln
