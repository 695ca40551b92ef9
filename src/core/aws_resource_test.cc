#include "core/aws_resource.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "core/gc.h"
#include "wire/aws_test_server.h"

namespace kiln {
namespace {

using testing::ElementsAre;

TEST(AwsResource, IsWrittenAndReadBack) {
  AwsResource resource{AwsThing::security_group, "us-east-1",  "packer a=b",
                       "http://127.0.0.1:5000",  "my profile", "/home/x y"};
  std::string text = aws_resource_text(resource);
  EXPECT_EQ(text,
            "security-group us-east-1 packer%20a%3Db endpoint=http://127.0.0.1:5000 profile=my%20profile "
            "shared_credentials_file=/home/x%20y");
  auto back = parse_aws_resource(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(aws_resource_text(*back), text);
  EXPECT_EQ(back->name, "packer a=b");
  EXPECT_EQ(aws_resource_text({AwsThing::instance, "eu-west-1", "", "", "", ""}), "instance eu-west-1");
  EXPECT_FALSE(parse_aws_resource("moon us-east-1"));
  EXPECT_FALSE(parse_aws_resource(""));
}

/// An EC2 with one image, its snapshot, and an instance.
TestHttpAnswer small_ec2(const TestHttpRequest& request) {
  auto asks = [&](const char* action) { return request.body.starts_with(std::string("Action=") + action + "&"); };
  if (asks("DescribeImages")) {
    return {200,
            "<r><imagesSet><item><imageId>ami-1</imageId><blockDeviceMapping><item><ebs><snapshotId>snap-1</"
            "snapshotId></ebs>"
            "</item></blockDeviceMapping></item></imagesSet></r>"};
  }
  if (asks("DescribeSnapshots"))
    return {200, "<r><snapshotSet><item><snapshotId>snap-2</snapshotId></item></snapshotSet></r>"};
  if (request.body.find("KeyName=forbidden") != std::string::npos)
    return {403, "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>"};
  if (asks("DeleteKeyPair"))
    return {400, "<Response><Errors><Error><Code>InvalidKeyPair.NotFound</Code></Error></Errors></Response>"};
  return {200, "<r/>"};
}

std::vector<std::string> actions(const AwsTestServer& server) {
  std::vector<std::string> out;
  for (const auto& request : server.requests()) out.push_back(request.body.substr(7, request.body.find('&') - 7));
  return out;
}

struct AwsGc : testing::Test {
  TempDir state;
  AwsTestServer server{small_ec2};
  std::unique_ptr<Journal> journal = open_journal(state.path(), "run");
  void SetUp() override {
    ::setenv("AWS_ACCESS_KEY_ID", "x", 1);
    ::setenv("AWS_SECRET_ACCESS_KEY", "y", 1);
  }
  void TearDown() override {
    ::unsetenv("AWS_ACCESS_KEY_ID");
    ::unsetenv("AWS_SECRET_ACCESS_KEY");
  }
  std::string add(AwsThing thing, const std::string& name) {
    return aws_run_tag_value(
        journal->append(ResourceKind::aws, aws_resource_text({thing, "eu-west-1", name, server.url(), "", ""}), "b"));
  }
};

TEST_F(AwsGc, AnImageGoesWithItsSnapshotsAndIsFoundByItsTag) {
  std::string value = add(AwsThing::image, "");
  Resource entry = journal->all().at(0);
  remove_resource(entry);
  EXPECT_THAT(actions(server), ElementsAre("DescribeImages", "DescribeImages", "DeregisterImage", "DeleteSnapshot",
                                           "DescribeSnapshots", "DeleteSnapshot"));
  EXPECT_THAT(server.requests().at(0).body,
              testing::HasSubstr("Filter.1.Name=tag%3Akiln%3Arun&Filter.1.Value.1=" + aws_uri_encode(value)));
}

TEST_F(AwsGc, WhatIsGoneAlreadyIsRemoved) {
  add(AwsThing::key_pair, "packer_1");
  remove_resource(journal->all().at(0));
  EXPECT_THAT(actions(server), ElementsAre("DeleteKeyPair"));
}

TEST(AwsResource, IsSoughtWhereItWasMade) {
  auto asked = [](const std::string& made_at, const std::string& now, AwsThing thing = AwsThing::instance) {
    return aws_endpoint_to_ask({thing, "eu-west-1", "", made_at, "", ""}, [&](const std::string& name) {
      return name == "AWS_ENDPOINT_URL" && !now.empty() ? std::optional(now) : std::nullopt;
    });
  };
  EXPECT_EQ(asked("", ""), "") << "AWS";
  EXPECT_EQ(asked("", "http://127.0.0.1:4566"), "") << "still AWS";
  EXPECT_EQ(asked("https://ec2.example", "http://127.0.0.1:4566"), "https://ec2.example");
  EXPECT_EQ(asked("http://127.0.0.1:1", ""), "http://127.0.0.1:1");
  EXPECT_EQ(asked("http://127.0.0.1:1", "http://127.0.0.1:4566", AwsThing::role), "http://127.0.0.1:4566")
      << "it came up again";
  EXPECT_EQ(asked("http://127.0.0.1:1", "https://ec2.example"), "http://127.0.0.1:1");
}

TEST_F(AwsGc, WhereToGoOnIsSaidOfAnEndpointOfThisMachine) {
  add(AwsThing::key_pair, "forbidden");
  try {
    remove_resource(journal->all().at(0));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), testing::HasSubstr("UnauthorizedOperation"));
    EXPECT_THAT(error.message(), testing::HasSubstr("It was made at " + server.url() + ", on this machine"));
  }
}

TEST_F(AwsGc, AwsIsOnlyAskedWhenThatIsWanted) {
  add(AwsThing::key_pair, "packer_1");
  std::vector<GcOutcome> outcomes;
  auto note = [&](const GcItem& item) { outcomes.push_back(item.outcome); };
  EXPECT_EQ(run_gc(*journal, {}, note).in_use, 1) << "this process lives";
  EXPECT_THAT(actions(server), ElementsAre());
}

}  // namespace
}  // namespace kiln
