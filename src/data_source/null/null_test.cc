#include "data_source/null/null.h"

#include <gtest/gtest.h>

#include "lang/option.h"

namespace kiln {
namespace {

TEST(NullData, GivesBackItsInput) {
  Value config = Value::empty_object();
  config.set("input", Value("{{upper `x`}}y"));
  TemplateScope scope;
  Diagnostics diagnostics;
  Stop stop;
  Value result = null_data_source().make()->read({config, scope, diagnostics, stop});
  EXPECT_FALSE(diagnostics.has_errors());
  EXPECT_EQ(result.find("output")->as_string(), "Xy");
}

TEST(NullData, WantsAnInput) {
  Value config = Value::empty_object();
  TemplateScope scope;
  Diagnostics diagnostics;
  Stop stop;
  null_data_source().make()->read({config, scope, diagnostics, stop});
  EXPECT_TRUE(diagnostics.has_errors());
}

}  // namespace
}  // namespace kiln
