#include "lang/hcl_value.h"

#include <gtest/gtest.h>

#include <limits>

namespace kiln {
namespace {

HclNumber number_of(std::string_view text) { return HclNumber::parse(text).value(); }

TEST(HclNumber, text_that_is_read_comes_back) {
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

TEST(HclNumber, a_number_keeps_the_precision_of_what_it_came_from) {
  EXPECT_EQ(HclNumber::from_double(0.1).text(), "0.1");
  EXPECT_EQ((HclNumber(1) / HclNumber(3)).text(), "0.33333333333333333334");
  EXPECT_EQ((number_of("1") / number_of("3")).text().size(), 157u);
  EXPECT_TRUE(HclNumber::from_double(0.1) == number_of("0.1"));
  EXPECT_NE(compare(HclNumber::from_double(0.1), number_of("0.1")), 0);
}

TEST(HclValue, strings_and_keys_are_normalised) {
  EXPECT_EQ(HclValue::string("e\u0301\xFF").as_string(), "\u00e9\xFF");
  auto object = HclValue::object({{"e\u0301", HclValue::boolean(true)}});
  EXPECT_TRUE(object.find("\u00e9"));
}

TEST(HclValue, sets_are_sorted_and_hold_each_value_once) {
  auto set = HclValue::set(HclType::number(), {HclValue::number(10), HclValue::number(9), HclValue::number(10)});
  ASSERT_EQ(set.length(), 2u);
  EXPECT_EQ(set.items()[0].as_number().text(), "9");
}

TEST(HclNumber, magnitudes_are_bounded) {
  HclNumber n = number_of("1e3000");
  for (int i = 0; i < 40; ++i) n = n * n;
  EXPECT_TRUE(n.is_infinite());
  EXPECT_EQ((n - n).text(), "+Inf");  // never NaN
  HclNumber small = number_of("1e-3000");
  for (int i = 0; i < 40; ++i) small = small * small;
  EXPECT_EQ(small.sign(), 0);
  EXPECT_EQ(HclNumber::from_double(1e308 * 10).text(), "+Inf");
}

TEST(HclNumber, integers_of_other_bases_are_read) {
  EXPECT_EQ(HclNumber::parse_integer("-ff", 16)->text(), "-255");
  EXPECT_EQ(HclNumber::parse_integer("FF", 16)->text(), "255");
  EXPECT_EQ(HclNumber::parse_integer("Z", 62)->text(), "61");
  EXPECT_EQ(HclNumber::parse_integer("z", 62)->text(), "35");
  EXPECT_EQ(HclNumber::parse_integer("123456789012345678901234567890", 10)->text(), "123456789012345678901234567890");
  EXPECT_FALSE(HclNumber::parse_integer("12", 2));
  EXPECT_FALSE(HclNumber::parse_integer("", 10));
  EXPECT_FALSE(HclNumber::parse_integer("1_0", 10));
}

TEST(HclNumber, whole_parts) {
  EXPECT_EQ(number_of("-1.5").floor().text(), "-2");
  EXPECT_EQ(number_of("-1.5").ceil().text(), "-1");
  EXPECT_EQ(number_of("-1.5").truncated().text(), "-1");
  EXPECT_EQ(number_of("-0.5").ceil().text(), "0");
  EXPECT_EQ(number_of("1e40").floor().text(), "1" + std::string(40, '0'));
  EXPECT_EQ(number_of("-9223372036854775808").to_int64(), std::numeric_limits<int64_t>::min());
  EXPECT_FALSE(number_of("9223372036854775808").to_int64());
  EXPECT_EQ((-number_of("-9223372036854775808")).text(), "9223372036854775808");
}

TEST(HclValue, what_is_unknown_or_sensitive_is_known_of_the_whole) {
  auto inner = HclValue::tuple({HclValue::string("s").with_sensitive(), HclValue::unknown(HclType::number())});
  auto outer = HclValue::object({{"a", inner}});
  EXPECT_TRUE(outer.contains_sensitive());
  EXPECT_FALSE(outer.sensitive());
  EXPECT_FALSE(outer.is_wholly_known());
  EXPECT_EQ(outer.weight(), 4u);
  bool found = false;
  EXPECT_FALSE(outer.unmarked_deep(&found).contains_sensitive());
  EXPECT_TRUE(found);
  EXPECT_TRUE(outer.unmarked_deep().raw_equals(outer));
}

TEST(HclValue, a_set_with_an_unknown_member_is_unknown) {
  auto set =
      HclValue::set(HclType::string(), {HclValue::string("a").with_sensitive(), HclValue::unknown(HclType::string())});
  EXPECT_FALSE(set.is_known());
  EXPECT_TRUE(set.sensitive());
  EXPECT_EQ(set.type().text(), "set(string)");
}

TEST(HclValue, what_grows_without_measure_weighs_it) {
  HclValue value = HclValue::string("laugh");
  for (int i = 0; i < 100; ++i) value = HclValue::tuple({value, value});
  EXPECT_EQ(value.weight(), std::numeric_limits<uint64_t>::max());
  HclValue deep = HclValue::string("x");
  for (int i = 0; i < 600; ++i) deep = HclValue::tuple({deep});
  EXPECT_EQ(deep.weight(), std::numeric_limits<uint64_t>::max());
}

TEST(HclValue, plain_values_keep_secrets_and_unknowns) {
  auto secret = HclValue::object({{"p", HclValue::string("pw")}}).with_sensitive();
  auto value = HclValue::tuple({secret, HclValue::unknown(HclType::string()), HclValue::number(number_of("1.5"))});
  Value plain = to_plain_value(value, {});
  EXPECT_FALSE(plain.secret);
  EXPECT_TRUE(plain.as_list()[0].find("p")->secret);
  EXPECT_TRUE(plain.as_list()[1].is_unknown());
  EXPECT_EQ(plain.as_list()[2].as_number().text, "1.5");
  HclValue back = from_plain_value(plain);
  EXPECT_EQ(back.type().text(), "tuple([object({p=string}),any,number])");
  std::vector<std::string> strings;
  collect_sensitive_strings(back, strings);
  EXPECT_EQ(strings, std::vector<std::string>{"pw"});
}

TEST(HclValue, equality_says_when_it_cannot_be_told) {
  auto unknown = HclValue::unknown(HclType::number());
  EXPECT_FALSE(hcl_equal(unknown, HclValue::number(1)).is_known());
  EXPECT_FALSE(hcl_equal(unknown, HclValue::string("1")).as_boolean());
  EXPECT_TRUE(hcl_equal(HclValue::null(HclType::number()), HclValue::null(HclType::string())).as_boolean());
  EXPECT_FALSE(hcl_equal(HclValue::number(1), HclValue::string("1")).as_boolean());
  EXPECT_TRUE(hcl_equal(HclValue::number(1).with_sensitive(), HclValue::number(1)).sensitive());
}

}  // namespace
}  // namespace kiln
