#include "cli/diagnostic_text.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

SourceRange range_in(const std::shared_ptr<const SourceFile>& file, const std::string& text) {
  size_t at = file->text.find(text);
  return {file, at, at + text.size()};
}

TEST(DiagnosticText, WrapsLongLinesButNotIndentedOnes) {
  std::string word(30, 'a');
  EXPECT_EQ(wrap_text(word + " " + word + " " + word), word + " " + word + "\n" + word);
  std::string indented = "\t" + word + " " + word + " " + word;
  EXPECT_EQ(wrap_text(indented), indented);
  EXPECT_EQ(wrap_text("a\n\nb"), "a\n\nb");
}

TEST(DiagnosticText, OneErrorAndSeveral) {
  EXPECT_EQ(multierror_text({"a"}), "1 error occurred:\n\t* a\n\n");
  EXPECT_EQ(multierror_text({"a", "b"}), "2 errors occurred:\n\t* a\n\t* b\n\n");
}

TEST(DiagnosticText, MistakesOfOneBuildStandTogetherWithTheirPlaces) {
  auto file = std::make_shared<SourceFile>(SourceFile{"t.json", "{\"zork\": 1,\n \"plugh\": 2}\n"});
  Diagnostics found;
  found.error("Failed to prepare build: \"x\"", "one", range_in(file, "\"zork\""), "Did you mean \"fork\"?");
  found.warning("Warning when preparing build: \"x\"", "careful");
  found.error("Failed to prepare build: \"x\"", "two", range_in(file, "\"plugh\""));
  EXPECT_EQ(legacy_prepare_text(found),
            "Error: Failed to prepare build: \"x\"\n\n2 errors occurred:\n\t* one\n\t* two\n\n"
            "  on t.json:1:2:\n   1: {\"zork\": 1,\n       ^^^^^^\n  Did you mean \"fork\"?\n\n"
            "  on t.json:2:2:\n   2:  \"plugh\": 2}\n       ^^^^^^^\n\n"
            "Warning: Warning when preparing build: \"x\"\n\ncareful\n\n");
}

TEST(DiagnosticText, WhatFollowsFromAMisspeltOptionIsNotSaid) {
  auto file = std::make_shared<SourceFile>(SourceFile{"t.json", "{\"zork\": 1}"});
  Diagnostics found;
  found.error("Failed to prepare build: \"x\"", "unknown configuration key: '\"zork\"'", range_in(file, "\"zork\""));
  found.error("Failed to prepare build: \"x\"", "fork must be set", {file, 0, file->text.size()});
  std::string text = legacy_prepare_text(found);
  EXPECT_NE(text.find("1 error occurred:\n\t* unknown configuration key: '\"zork\"'"), std::string::npos) << text;
  EXPECT_EQ(text.find("fork must be set"), std::string::npos) << text;
}

TEST(DiagnosticText, ErrorsWithoutAHeadHaveAnEmptySummaryAsPackers) {
  Diagnostics found;
  found.error("", "required variable not set: a");
  EXPECT_EQ(legacy_prepare_text(found), "Error: \n\n1 error occurred:\n\t* required variable not set: a\n\n");
}

}  // namespace
}  // namespace kiln
