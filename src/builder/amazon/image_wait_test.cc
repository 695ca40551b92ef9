#include "builder/amazon/image_wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/test_stage.h"
#include "wire/aws_test_server.h"

namespace kiln::amazon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// An EC2 whose image is in the next of the states each time it is looked at.
struct AmazonImageWait : testing::Test {
  std::vector<std::string> states;
  std::atomic<size_t> looked = 0;
  AwsTestServer server{[this](const TestHttpRequest&) {
    const std::string& state = states[std::min(looked++, states.size() - 1)];
    return TestHttpAnswer{200, "<R><imagesSet><item><imageId>ami-1</imageId><imageState>" + state +
                                   "</imageState><stateReason><message>it is full</message></stateReason>"
                                   "<blockDeviceMapping><item><ebs><snapshotId>snap-1</snapshotId></ebs></item>"
                                   "</blockDeviceMapping></item></imagesSet></R>"};
  }};
  TestStage stage;
  Running running;

  void SetUp() override {
    running.access.access_key = "x";
    running.access.secret_key = "y";
    running.access.region = "eu-west-1";
    running.access.custom_endpoint_ec2 = server.url();
    running.access.aws_polling.delay_seconds = 1;
    running.access.aws_polling.max_attempts = 2;
    open_client(running, make_amazon_shared(), stage.context);
  }
  AwsElement wait() {
    return wait_for_image(running, *running.client, "eu-west-1", "ami-1", stage.context.ui, stage.context.stop);
  }
  ErrorKind fails(const std::string& text) {
    try {
      wait();
    } catch (const Error& error) {
      EXPECT_THAT(error.message(), HasSubstr(text));
      return error.kind();
    }
    return ErrorKind::internal;
  }
};

TEST_F(AmazonImageWait, TellsWhatItIsOnceItIsAvailable) {
  states = {"pending", "available"};
  EXPECT_THAT(image_snapshots(wait()), ElementsAre("snap-1"));
  EXPECT_EQ(looked, 2u);
}

TEST_F(AmazonImageWait, TellsWhyThereWillBeNone) {
  states = {"failed"};
  EXPECT_EQ(fails("it is failed: it is full"), ErrorKind::remote);
}

TEST_F(AmazonImageWait, TellsWhenTheTimeIsOver) {
  states = {"pending"};
  EXPECT_EQ(fails("AMI ami-1 in eu-west-1"), ErrorKind::timeout);
}

}  // namespace
}  // namespace kiln::amazon
