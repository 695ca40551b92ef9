#include "lang/diagnostic.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

SourceRange range_of(const std::string& text, const std::string& part) {
  auto file = std::make_shared<SourceFile>(SourceFile{"a.json", text});
  size_t at = text.find(part);
  return {file, at, at + part.size()};
}

TEST(Diagnostic, shows_place_line_and_caret) {
  auto range = range_of("{\n  \"typo\": 1\n}\n", "\"typo\"");
  EXPECT_EQ(render_place(range),
            "  on a.json:2:3:\n"
            "   2:   \"typo\": 1\n"
            "        ^^^^^^\n");
}

TEST(Diagnostic, columns_count_characters_not_bytes) {
  auto range = range_of("{\"é日\": x}", "x");
  EXPECT_EQ(line_column(range).column, 8u);
  EXPECT_EQ(render_place(range),
            "  on a.json:1:8:\n"
            "   1: {\"é日\": x}\n"
            "             ^\n");
}

TEST(Diagnostic, a_tab_before_the_place_stays_a_tab_in_the_caret_line) {
  EXPECT_EQ(render_place(range_of("\tx", "x")), "  on a.json:1:2:\n   1: \tx\n      \t^\n");
}

TEST(Diagnostic, a_place_at_the_very_end_is_still_shown) {
  auto file = std::make_shared<SourceFile>(SourceFile{"a.json", "{\n"});
  EXPECT_EQ(render_place({file, 2, 2}), "  on a.json:2:1:\n   2: \n      ^\n");
  EXPECT_EQ(render_place({file, 99, 120}), "  on a.json:2:1:\n   2: \n      ^\n");
}

TEST(Diagnostic, a_long_line_is_cut) {
  auto text = std::string(100000, 'x');
  auto file = std::make_shared<SourceFile>(SourceFile{"a.json", text});
  EXPECT_LT(render_place({file, 50000, 60000}).size(), 1000u);
}

TEST(Diagnostic, packers_words_come_first_then_ours) {
  Diagnostics diagnostics;
  diagnostics.error("Summary", "Detail.", range_of("x", "x"), "Did you mean \"y\"?");
  diagnostics.warning("Careful");
  EXPECT_TRUE(diagnostics.has_errors());
  EXPECT_EQ(render_diagnostics(diagnostics),
            "Error: Summary\n\n"
            "  on a.json:1:1:\n"
            "   1: x\n"
            "      ^\n\n"
            "Detail.\n\n"
            "Did you mean \"y\"?\n\n"
            "Warning: Careful\n\n");
}

}  // namespace
}  // namespace kiln
