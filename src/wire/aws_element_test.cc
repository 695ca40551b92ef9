#include "wire/aws_element.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace kiln {
namespace {

TEST(AwsElement, IsReadByPaths) {
  AwsElement root = parse_aws_xml(
      "<?xml version=\"1.0\"?><DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
      "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><instanceState><code>16</code>"
      "<name>running</name></instanceState><tagSet><item><key>a</key><value>b &amp; c</value></item></tagSet></item>"
      "</instancesSet></item></reservationSet></DescribeInstancesResponse>");
  EXPECT_EQ(root.name, "DescribeInstancesResponse");
  auto reservations = root.items("reservationSet");
  ASSERT_EQ(reservations.size(), 1u);
  auto instances = reservations[0]->items("instancesSet");
  ASSERT_EQ(instances.size(), 1u);
  EXPECT_EQ(instances[0]->text_at("instanceState/name"), "running");
  EXPECT_EQ(instances[0]->text_at("nothing/there"), "");
  EXPECT_THAT(aws_tags(*instances[0]), testing::ElementsAre(testing::Pair("a", "b & c")));
}

TEST(AwsElement, MembersAreItemsToo) {
  AwsElement root = parse_aws_xml("<r><Roles><member><RoleName>x</RoleName></member><other/></Roles></r>");
  ASSERT_EQ(root.items("Roles").size(), 1u);
  EXPECT_EQ(root.items("Roles")[0]->text_at("RoleName"), "x");
  EXPECT_TRUE(root.items("Groups").empty());
}

TEST(AwsElement, NamespacesAreLeftOut) {
  EXPECT_EQ(parse_aws_xml("<a:r xmlns:a=\"x\"><a:b>1</a:b></a:r>").text_at("b"), "1");
}

TEST(AwsElement, WhatIsNoXmlIsAnError) {
  EXPECT_THROW(parse_aws_xml(""), Error);
  EXPECT_THROW(parse_aws_xml("<html><body>"), Error);
  EXPECT_THROW(parse_aws_xml("{}"), Error);
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "<a>";
  for (int i = 0; i < 5000; ++i) deep += "</a>";
  EXPECT_THROW(parse_aws_xml(deep), Error);
}

}  // namespace
}  // namespace kiln
