#include "lang/hcl_value.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

HclNumber number_of(std::string_view text) { return HclNumber::parse(text).value(); }

TEST(HclNumber, RoundTripsText) {
  for (const char* text : {"0", "1", "-1", "0.1", "1.5", "123456789012345678901234567890", "-0.000001", "1000000"}) {
    EXPECT_EQ(number_of(text).text(), text);
  }
  EXPECT_EQ(number_of("1e3").text(), "1000");
  EXPECT_EQ(number_of("1p4").text(), "16");
  EXPECT_EQ(number_of("-0").text(), "-0");
  EXPECT_FALSE(HclNumber::parse("1e1000000"));
  EXPECT_FALSE(HclNumber::parse("x"));
  EXPECT_FALSE(HclNumber::parse(""));
  EXPECT_FALSE(HclNumber::parse("Inf"));
}

TEST(HclNumber, KeepsThePrecisionOfWhatItCameFrom) {
  EXPECT_EQ(HclNumber::from_double(0.1).text(), "0.1");
  EXPECT_EQ((HclNumber(1) / HclNumber(3)).text(), "0.33333333333333333334");
  EXPECT_EQ((number_of("1") / number_of("3")).text().size(), 157u);
  EXPECT_TRUE(HclNumber::from_double(0.1) == number_of("0.1"));
  EXPECT_NE(compare(HclNumber::from_double(0.1), number_of("0.1")), 0);
}

TEST(HclValue, NormalizesStrings) {
  EXPECT_EQ(HclValue::string("e\u0301\xFF").as_string(), "\u00e9\xFF");
  auto object = HclValue::object({{"e\u0301", HclValue::boolean(true)}});
  EXPECT_TRUE(object.find("\u00e9"));
}

TEST(HclValue, SortsSets) {
  auto set = HclValue::set(HclType::number(), {HclValue::number(10), HclValue::number(9), HclValue::number(10)});
  ASSERT_EQ(set.length(), 2u);
  EXPECT_EQ(set.items()[0].as_number().text(), "9");
}

}  // namespace
}  // namespace kiln
