#include "lang/value.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(Value, objects_keep_their_order_and_have_unique_keys) {
  Value object = Value::empty_object();
  object.set("b", 1);
  object.set("a", "x");
  object.set("b", true);
  EXPECT_EQ(to_json(object), R"({"b":true,"a":"x"})");
  ASSERT_NE(object.find("a"), nullptr);
  EXPECT_EQ(object.find("a")->as_string(), "x");
  EXPECT_EQ(object.find("c"), nullptr);
  EXPECT_EQ(object.take("b")->as_bool(), true);
  EXPECT_EQ(object.take("b"), std::nullopt);
}

TEST(Value, a_null_becomes_an_object_when_a_member_is_set) {
  Value value;
  value.set("k", "v");
  EXPECT_TRUE(value.is_object());
}

TEST(Value, equality_is_of_content) {
  Value a = "x";
  Value b = "x";
  b.secret = true;
  EXPECT_EQ(a, b);
  EXPECT_NE(a, Value(1));
  EXPECT_NE(Value::unknown(), Value());
}

TEST(Value, json_escapes_what_json_must) {
  EXPECT_EQ(to_json(Value("a\"\\\n\x01/é")), "\"a\\\"\\\\\\n\\u0001/é\"");
  EXPECT_EQ(to_json(Value(Value::List{Value(), Value(false), Value(Number{"1.5e3"}), Value::unknown()})),
            "[null,false,1.5e3,null]");
}

TEST(Value, finding_in_what_is_no_object_finds_nothing) { EXPECT_EQ(Value("x").find("x"), nullptr); }

}  // namespace
}  // namespace kiln
