#include "base/glob.h"

#include <gtest/gtest.h>


namespace kiln {
namespace {

bool glob_fits(std::string_view pattern, std::string_view text) {
  auto glob = Glob::compile(pattern);
  return glob && glob->matches(text);
}

std::string glob_error(std::string_view pattern) {
  std::string error;
  EXPECT_FALSE(Glob::compile(pattern, &error)) << pattern;
  return error;
}

TEST(Glob, PlainTextFitsItselfOnly) {
  EXPECT_TRUE(glob_fits("qemu.web", "qemu.web"));
  EXPECT_FALSE(glob_fits("qemu.web", "qemu.web2"));
  EXPECT_FALSE(glob_fits("qemu.web", "qemu.we"));
  EXPECT_TRUE(glob_fits("", ""));
  EXPECT_FALSE(glob_fits("", "a"));
}

TEST(Glob, StarsTakeAnyTextAlsoAcrossSlashesAndDots) {
  EXPECT_TRUE(glob_fits("*", ""));
  EXPECT_TRUE(glob_fits("*.web", "a/b.c.web"));
  EXPECT_TRUE(glob_fits("a**b", "a/x/b"));
  EXPECT_TRUE(glob_fits("*a*b*", "xaxbx"));
  EXPECT_FALSE(glob_fits("*a*b*", "xbxax"));
}

TEST(Glob, QuestionMarkIsOneCharacter) {
  EXPECT_TRUE(glob_fits("a?c", "abc"));
  EXPECT_TRUE(glob_fits("a?c",
                        "a\xC3\xA9"
                        "c"));
  EXPECT_FALSE(glob_fits("a?c", "ac"));
  EXPECT_TRUE(glob_fits("a?c",
                        "a\xFF"
                        "c"));
}

TEST(Glob, RangesAndLists) {
  EXPECT_TRUE(glob_fits("[a-c]", "b"));
  EXPECT_FALSE(glob_fits("[a-c]", "d"));
  EXPECT_TRUE(glob_fits("[!a-c]x", "dx"));
  EXPECT_FALSE(glob_fits("[!a-c]x", "ax"));
  EXPECT_TRUE(glob_fits("[ab-d]", "-"));
  EXPECT_FALSE(glob_fits("[ab-d]", "c"));
  EXPECT_TRUE(glob_fits("[\\]a]", "]"));
  EXPECT_TRUE(glob_fits("[!!]", "a"));
  EXPECT_FALSE(glob_fits("[!!]", "!"));
  EXPECT_TRUE(glob_fits("[^a]", "^"));
}

TEST(Glob, AlternativesNestAndMayBeEmpty) {
  EXPECT_TRUE(glob_fits("{qemu,null}.*", "null.x"));
  EXPECT_FALSE(glob_fits("{qemu,null}.*", "file.x"));
  EXPECT_TRUE(glob_fits("a{b,{c,d*}e,}f", "adxxef"));
  EXPECT_TRUE(glob_fits("a{b,{c,d*}e,}f", "af"));
  EXPECT_TRUE(glob_fits("{a,b", "b"));
  EXPECT_TRUE(glob_fits("a},b", "a},b"));
}

TEST(Glob, BackslashTakesWhatFollows) {
  EXPECT_TRUE(glob_fits("\\*", "*"));
  EXPECT_FALSE(glob_fits("\\*", "x"));
  EXPECT_TRUE(glob_fits("{a\\,b}", "a,b"));
  EXPECT_TRUE(glob_fits("a\\", "a"));
}

TEST(Glob, MistakesAreToldInGobwasWords) {
  EXPECT_EQ(glob_error("[a"), "unexpected end of input");
  EXPECT_EQ(glob_error("["), "unexpected end of input");
  EXPECT_EQ(glob_error("[a-"), "unexpected end of input");
  EXPECT_EQ(glob_error("[]"), "could not parse range");
  EXPECT_EQ(glob_error("[!]"), "could not parse range");
  EXPECT_EQ(glob_error("[a-z-9]"), "expected close range character");
  EXPECT_EQ(glob_error("[z-a]"), "hi character 'a' should be greater than lo 'z'");
  EXPECT_EQ(glob_error("a\xFF"), "could not read rune");
}

/// Without a bound they would take longer than ctest lets a test run.
TEST(Glob, HostilePatternsTakeBoundedTime) {
  std::string stars, groups;
  for (int i = 0; i < 50; ++i) stars += "*a";
  EXPECT_FALSE(glob_fits(stars + "b", std::string(5000, 'a')));
  for (int i = 0; i < 30; ++i) groups += "{a,aa}";
  EXPECT_FALSE(glob_fits(groups + "b", std::string(45, 'a')));
  EXPECT_TRUE(glob_fits(std::string(200000, '{') + "a", "a"));
}

}  // namespace
}  // namespace kiln
