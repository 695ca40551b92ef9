#include "data_source/amazon_secretsmanager/amazon_secretsmanager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "wire/aws_test_server.h"

namespace kiln {
namespace {

struct AmazonSecret : testing::Test {
  std::string answer = R"({"SecretString":"{\"user\":\"admin\",\"password\":\"p w\",\"port\":5432}","VersionId":"v1"})";
  AwsTestServer server{[this](const TestHttpRequest&) { return TestHttpAnswer{200, answer}; }};
  TemplateScope scope;
  Diagnostics diagnostics;
  Stop stop;

  Value read(std::map<std::string, std::string> options, bool only_check = false) {
    options.insert(
        {{"access_key", "x"}, {"secret_key", "y"}, {"region", "eu-west-1"}, {"custom_endpoint_ec2", server.url()}});
    return amazon_secretsmanager_data_source().make()->read({Value(options), scope, diagnostics, stop, only_check});
  }
  std::string complaint(const std::map<std::string, std::string>& options) {
    try {
      read(options);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
};

TEST_F(AmazonSecret, OneKeyOfSeveral) {
  Value out = read({{"name", "db"}, {"key", "password"}});
  EXPECT_EQ(out.find("value")->as_string(), "p w");
  EXPECT_TRUE(out.find("value")->secret);
  EXPECT_TRUE(out.find("secret_string")->secret);
  EXPECT_EQ(out.find("version_id")->as_string(), "v1");
  EXPECT_EQ(server.requests().at(0).headers["x-amz-target"], "secretsmanager.GetSecretValue");
  EXPECT_EQ(server.requests().at(0).body, R"({"SecretId":"db","VersionStage":"AWSCURRENT"})");
  EXPECT_EQ(read({{"name", "db"}, {"key", "port"}}).find("value")->as_string(), "5432");
}

TEST_F(AmazonSecret, SaysWhichKeyIsMissing) {
  EXPECT_EQ(complaint({{"name", "db"}}), "the secret \"db\" has 3 keys: key must say which is meant");
  EXPECT_EQ(complaint({{"name", "db"}, {"key", "pasword"}}),
            "the secret \"db\" has no key \"pasword\". Did you mean \"password\"?");
}

TEST_F(AmazonSecret, PlainTextIsTheValue) {
  answer = R"({"SecretString":"hello"})";
  EXPECT_EQ(read({{"name", "db"}}).find("value")->as_string(), "hello");
  answer = R"({"SecretString":"{\"only\":\"one\"}"})";
  EXPECT_EQ(read({{"name", "db"}}).find("value")->as_string(), "one");
}

TEST_F(AmazonSecret, OptionsAreCheckedWithoutAsking) {
  read({}, true);
  ASSERT_EQ(diagnostics.items().size(), 1u);
  EXPECT_EQ(diagnostics.items()[0].summary, "a 'name' must be provided");
  EXPECT_TRUE(server.requests().empty());
}

}  // namespace
}  // namespace kiln
