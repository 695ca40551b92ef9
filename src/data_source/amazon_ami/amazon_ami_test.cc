#include "data_source/amazon_ami/amazon_ami.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "wire/aws_test_server.h"

namespace kiln {
namespace {

const char* const two_images =
    "<r><imagesSet><item><imageId>ami-1</imageId><name>old</name><creationDate>2025-01-01T00:00:00.000Z</"
    "creationDate></item>"
    "<item><imageId>ami-2</imageId><name>new</name><creationDate>2026-01-01T00:00:00.000Z</creationDate>"
    "<imageOwnerId>123</imageOwnerId><imageOwnerAlias>amazon</imageOwnerAlias>"
    "<tagSet><item><key>a</key><value>b</value></item></tagSet></item></imagesSet></r>";

struct AmazonAmi : testing::Test {
  std::string answer = two_images;
  AwsTestServer server{[this](const TestHttpRequest&) { return TestHttpAnswer{200, answer}; }};
  TemplateScope scope;
  Diagnostics diagnostics;
  Stop stop;
  Value config{std::map<std::string, std::string>{{"access_key", "x"},
                                                  {"secret_key", "y"},
                                                  {"region", "eu-west-1"},
                                                  {"custom_endpoint_ec2", server.url()},
                                                  {"owners", "self"}}};

  void SetUp() override { config.set("filters", Value(std::map<std::string, std::string>{{"name", "*"}})); }
  Value read() { return amazon_ami_data_source().make()->read({config, scope, diagnostics, stop, false}); }
  std::string complaint() {
    try {
      read();
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
};

TEST_F(AmazonAmi, TakesTheLatest) {
  config.set("most_recent", true);
  EXPECT_EQ(
      to_json(read()),
      R"({"id":"ami-2","name":"new","creation_date":"2026-01-01T00:00:00.000Z","owner":"123","owner_name":"amazon","tags":{"a":"b"}})");
  EXPECT_EQ(server.requests().at(0).body,
            "Action=DescribeImages&Filter.1.Name=name&Filter.1.Value.1=%2A&Owner.1=self&Version=2016-11-15");
}

TEST_F(AmazonAmi, SeveralOrNoneAreErrors) {
  EXPECT_EQ(complaint(),
            "Your query returned more than one result. Please try a more specific search, or set most_recent to true.");
  answer = "<r><imagesSet/></r>";
  EXPECT_EQ(
      complaint(),
      "No AMI was found matching filters: {\n  Filters: [{\n      Name: \"name\",\n      Values: [\"*\"]\n    }],\n"
      "  Owners: [\"self\"]\n}");
}

TEST_F(AmazonAmi, AsksForAnOwner) {
  config.take("owners");
  read();
  ASSERT_TRUE(diagnostics.has_errors());
  EXPECT_EQ(diagnostics.items()[0].summary, "For security reasons, you must declare an owner.");
  EXPECT_TRUE(server.requests().empty());
}

}  // namespace
}  // namespace kiln
