#include "report/junit.h"

#include <gtest/gtest.h>

#include <pugixml.hpp>

#include "base/text.h"
#include "report/tap.h"

namespace kiln {
namespace {

std::vector<TestSuite> suites() {
  TestSuite goss;
  goss.name = "debian / goss";
  goss.hostname = "vm<1>";
  goss.duration = std::chrono::milliseconds(1500);
  goss.time = std::chrono::system_clock::from_time_t(0);
  CheckResult good{"File /x", "exists", CheckStatus::passed, "", "", "", "goss.yaml:3", std::chrono::milliseconds(20)};
  CheckResult bad{"Command echo \"a\" && b",
                  "stdout",
                  CheckStatus::failed,
                  "a]]>b",
                  std::string("x\0y\x1b[31mred\x1b[0m \xff <z>", 21),
                  "line one\n\tline two \x01\r\nhunter2",
                  "goss.yaml:9",
                  {}};
  CheckResult left{"", "later #1", CheckStatus::skipped, "", "", "not \"now\"", "", {}};
  goss.report.checks = {good, bad, left};
  return {goss, TestSuite{"empty", {}, {}, {}, ""}};
}

TEST(Junit, IsXmlWhateverTheChecksSay) {
  Redactor redactor;
  redactor.add("hunter2");
  std::string xml = junit_xml(suites(), &redactor);
  EXPECT_TRUE(is_valid_utf8(xml));
  for (unsigned char c : xml) EXPECT_TRUE(c >= 0x20 || c == '\n' || c == '\t') << static_cast<int>(c);
  pugi::xml_document document;
  auto parsed = document.load_string(xml.c_str(), pugi::parse_full);
  ASSERT_TRUE(parsed) << parsed.description();
  auto all = document.child("testsuites");
  EXPECT_STREQ(all.attribute("tests").value(), "3");
  EXPECT_STREQ(all.attribute("failures").value(), "1");
  EXPECT_STREQ(all.attribute("skipped").value(), "1");
  EXPECT_STREQ(all.attribute("time").value(), "1.500");
  auto suite = all.child("testsuite");
  EXPECT_STREQ(suite.attribute("name").value(), "debian / goss");
  EXPECT_STREQ(suite.attribute("hostname").value(), "vm<1>");
  EXPECT_STREQ(suite.attribute("timestamp").value(), "1970-01-01T00:00:00");
  auto good = suite.child("testcase");
  EXPECT_STREQ(good.attribute("classname").value(), "File /x");
  EXPECT_STREQ(good.attribute("file").value(), "goss.yaml");
  EXPECT_STREQ(good.attribute("line").value(), "3");
  EXPECT_STREQ(good.attribute("time").value(), "0.020");
  EXPECT_FALSE(good.first_child());
  auto bad = good.next_sibling();
  EXPECT_STREQ(bad.attribute("classname").value(), "Command echo \"a\" && b");
  std::string text = bad.child_value("failure");
  EXPECT_EQ(text,
            "expected: a]]>b\nfound: x\xEF\xBF\xBDyred \xEF\xBF\xBD <z>\nline one\n\tline two \xEF\xBF\xBD\r\n"
            "<sensitive>\nat goss.yaml:9");
  EXPECT_STREQ(bad.child("failure").attribute("message").value(),
               "expected a]]>b, found x\xEF\xBF\xBDyred \xEF\xBF\xBD <z>");
  auto left = bad.next_sibling();
  EXPECT_STREQ(left.attribute("classname").value(), "debian / goss");
  EXPECT_STREQ(left.child("skipped").attribute("message").value(), "not \"now\"");
  EXPECT_STREQ(suite.next_sibling().attribute("tests").value(), "0");
}

TEST(Tap, IsVersion14WithDetails) {
  auto all = suites();
  all[0].report.checks[1].found = "x";
  all[0].report.checks[1].message = "one\ntwo";
  EXPECT_EQ(tap_text(all), R"(TAP version 14
1..3
ok 1 - debian / goss: File /x exists
not ok 2 - debian / goss: Command echo "a" && b stdout
  ---
  message: "one\ntwo"
  expected: "a]]>b"
  found: "x"
  at:
    file: "goss.yaml"
    line: 9
  ...
ok 3 - debian / goss: later \#1 # SKIP not "now"
)");
  EXPECT_EQ(tap_text({}), "TAP version 14\n1..0\n");
}

}  // namespace
}  // namespace kiln
