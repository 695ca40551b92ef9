#include "endpoint/xml_text.h"

#include <gtest/gtest.h>

namespace kiln::ec2 {
namespace {

TEST(Xml, EscapesWhatIsMarkupAndReplacesWhatXmlCannotHave) {
  EXPECT_EQ(xml_escape("plain text"), "plain text");
  EXPECT_EQ(xml_escape("<a b=\"c\"> & d"), "&lt;a b=&quot;c&quot;&gt; &amp; d");
  EXPECT_EQ(xml_escape("ü€\t\n"), "ü€\t\n");
  EXPECT_EQ(xml_escape("a\r"), "a&#13;");
  EXPECT_EQ(xml_escape(std::string("\0\x1b", 2)), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(xml_escape("\xff"), "\xEF\xBF\xBD");
  EXPECT_EQ(xml_escape("\xEF\xBF\xBF"), "\xEF\xBF\xBD");
}

TEST(Xml, WritesInOrder) {
  Xml xml;
  xml.put("n", 12);
  xml.opt("none", "");
  xml.list("set", std::vector<std::string>{"a", "<"}, [&](const std::string& one) { xml.put("name", one); });
  xml.put("flag", true);
  EXPECT_EQ(xml.text(),
            "<n>12</n><set><item><name>a</name></item><item><name>&lt;</name></item></set><flag>true</flag>");
}

}  // namespace
}  // namespace kiln::ec2
