#include "base/redact.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace kiln {
namespace {

TEST(Redactor, masks_a_secret_in_every_form_it_travels_in) {
  Redactor redactor;
  redactor.add("p\"ss w'rd");
  EXPECT_EQ(redactor.redact("plain p\"ss w'rd."), "plain <sensitive>.");
  EXPECT_EQ(redactor.redact("json p\\\"ss w'rd"), "json <sensitive>");
  EXPECT_EQ(redactor.redact("shell p\"ss w'\"'\"'rd"), "shell <sensitive>");
  EXPECT_EQ(redactor.redact("url p%22ss%20w%27rd"), "url <sensitive>");
  EXPECT_EQ(redactor.redact(base64_encode("p\"ss w'rd")), "<sensitive>");
}

TEST(Redactor, masks_the_longest_first) {
  Redactor redactor;
  redactor.add("secret");
  redactor.add("secret-longer");
  EXPECT_EQ(redactor.redact("secret-longer secret"), "<sensitive> <sensitive>");
}

TEST(Redactor, masks_each_line_of_a_secret_with_several) {
  Redactor redactor;
  redactor.add("first line\r\nsecond line\n");
  EXPECT_EQ(redactor.redact("x second line y"), "x <sensitive> y");
  EXPECT_EQ(redactor.redact("first line\nsecond line\n"), "<sensitive>");
}

TEST(Redactor, an_empty_secret_masks_nothing) {
  Redactor redactor;
  redactor.add("");
  EXPECT_EQ(redactor.redact("all of it"), "all of it");
}

}  // namespace
}  // namespace kiln
