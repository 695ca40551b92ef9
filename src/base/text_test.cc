#include "base/text.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;

TEST(Text, splits_and_joins_without_losing_empty_parts) {
  EXPECT_EQ(split("a,,b,", ','), (std::vector<std::string>{"a", "", "b", ""}));
  EXPECT_EQ(split("", ','), (std::vector<std::string>{""}));
  EXPECT_EQ(split("a::b", "::"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(join({"a", "", "b"}, ", "), "a, , b");
}

TEST(Text, quotes_as_go_does) {
  EXPECT_EQ(go_quote("a\"b\\\n\t\x01"), R"("a\"b\\\n\t\x01")");
  EXPECT_EQ(go_quote("héé"), "\"héé\"");
  EXPECT_EQ(go_quote("\xff"), "\"\\xff\"");
}

TEST(Text, shell_quotes_survive_single_quotes) { EXPECT_EQ(shell_quote("it's"), "'it'\"'\"'s'"); }

TEST(Text, base64_goes_there_and_back) {
  for (std::string text : {"", "f", "fo", "foo", "foob"}) EXPECT_EQ(base64_decode(base64_encode(text)), text);
  EXPECT_EQ(base64_encode("fo"), "Zm8=");
  EXPECT_EQ(base64_encode(std::string_view("\x00\xff\xfe\xfb", 4)), "AP/++w==");
  EXPECT_THROW(base64_decode("abc"), Error);
  EXPECT_THROW(base64_decode("!!!!"), Error);
}

TEST(Text, utf8_is_told_from_garbage) {
  EXPECT_TRUE(is_valid_utf8("日本語 and é"));
  EXPECT_FALSE(is_valid_utf8("\xc0\x80"));          // overlong
  EXPECT_FALSE(is_valid_utf8("\xed\xa0\x80"));      // surrogate
  EXPECT_FALSE(is_valid_utf8("\xf4\x90\x80\x80"));  // beyond U+10FFFF
  EXPECT_FALSE(is_valid_utf8("\xe6\x97"));          // cut off
}

TEST(Text, nearest_name_finds_typos_only) {
  std::vector<std::string> names{"inline", "script", "scripts", "environment_vars"};
  EXPECT_EQ(nearest_name("inlin", names), "inline");
  EXPECT_EQ(nearest_name("enviroment_vars", names), "environment_vars");
  EXPECT_EQ(nearest_name("zork", names), std::nullopt);
}

TEST(Text, parses_go_durations) {
  struct Row {
    std::string text;
    std::optional<std::chrono::nanoseconds> expected;
  };
  for (const auto& row : std::vector<Row>{{"10s", 10s},
                                          {"1h30m", 90min},
                                          {"1.5s", 1500ms},
                                          {"300ms", 300ms},
                                          {"2us", 2us},
                                          {"2µs", 2us},
                                          {"-5m", -5min},
                                          {"0", 0s},
                                          {".5s", 500ms},
                                          {"", std::nullopt},
                                          {"10", std::nullopt},
                                          {"s", std::nullopt},
                                          {"1 s", std::nullopt},
                                          {"3d", std::nullopt},
                                          {"99999999999h", std::nullopt}}) {
    EXPECT_EQ(parse_go_duration(row.text), row.expected) << row.text;
  }
}

TEST(Text, formats_durations_as_go_and_as_packer) {
  EXPECT_EQ(format_go_duration(0s), "0s");
  EXPECT_EQ(format_go_duration(1500ms), "1.5s");
  EXPECT_EQ(format_go_duration(90s), "1m30s");
  EXPECT_EQ(format_go_duration(3600s), "1h0m0s");
  EXPECT_EQ(format_go_duration(1500us), "1.5ms");
  EXPECT_EQ(format_duration_words(16458us), "16 milliseconds 458 microseconds");
  EXPECT_EQ(format_duration_words(61s), "1 minute 1 second");
  EXPECT_EQ(format_duration_words(3661s), "1 hour 1 minute");
}

TEST(Text, formats_bytes) {
  EXPECT_EQ(format_bytes(12), "12 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(5ull << 30), "5.0 GiB");
}

TEST(Text, uuids_are_version_4_and_differ) {
  std::string a = random_uuid();
  EXPECT_EQ(a.size(), 36u);
  EXPECT_EQ(a[14], '4');
  EXPECT_NE(a, random_uuid());
}

}  // namespace
}  // namespace kiln
