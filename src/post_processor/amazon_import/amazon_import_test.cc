#include "post_processor/amazon_import/amazon_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "kit/aws_upload.h"
#include "kit/test_stage.h"
#include "wire/aws_test_server.h"

namespace kiln {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// An S3 and an EC2 that import; what is asked is remembered as "METHOD PATH" or the action.
struct AmazonImportTest : testing::Test {
  std::string task_status = "completed";
  AwsTestServer server{[this](const TestHttpRequest& request) { return answer(request); }};
  TestStage stage;
  Artifact input;

  void SetUp() override {
    fs::path image = stage.directory.path() / "disk.raw";
    write_file_atomically(image, std::string(40 << 20, 'x'));
    input.files = {(stage.directory.path() / "notes.txt").string(), image.string()};
  }

  TestHttpAnswer answer(const TestHttpRequest& request) {
    if (request.target.find("?uploads=") != std::string::npos) return {200, "<R><UploadId>up 1</UploadId></R>"};
    if (request.target.starts_with("/bucket/")) return {200, "<R/>"};
    auto asks = [&](const char* action) { return request.body.starts_with(std::string("Action=") + action + "&"); };
    if (asks("ImportImage")) return {200, "<R><importTaskId>import-ami-1</importTaskId></R>"};
    if (asks("DescribeImportImageTasks")) {
      return {200, "<R><importImageTaskSet><item><importTaskId>import-ami-1</importTaskId><status>" + task_status +
                       "</status><statusMessage>ClientError: "
                       "no</statusMessage><imageId>ami-1</imageId></item></importImageTaskSet></R>"};
    }
    if (asks("CopyImage")) return {200, "<R><imageId>ami-2</imageId></R>"};
    if (asks("DescribeImages"))
      return {200,
              "<R><imagesSet><item><imageId>ami-2</imageId><imageState>available</imageState></item></imagesSet></R>"};
    return {200, "<R/>"};
  }

  std::vector<std::string> asked() {
    std::vector<std::string> out;
    for (const auto& request : server.requests()) {
      bool action = request.body.starts_with("Action=");
      out.push_back(action ? request.body.substr(7, request.body.find('&') - 7)
                           : request.method + " " + request.target.substr(0, request.target.find("uploadId")));
    }
    return out;
  }

  PostProcessed run(std::map<std::string, std::string> options) {
    options.insert({{"access_key", "x"},
                    {"secret_key", "y"},
                    {"region", "eu-west-1"},
                    {"custom_endpoint_ec2", server.url()},
                    {"s3_bucket_name", "bucket"},
                    {"s3_key_name", "a b.raw"},
                    {"format", "raw"}});
    auto component = amazon_import_post_processor().make();
    stage.prepare(*component, Value(options));
    EXPECT_THAT(stage.complaints(), IsEmpty());
    return component->run(input, stage.context);
  }
};

TEST_F(AmazonImportTest, UploadsImportsRenamesAndCleansUp) {
  PostProcessed done = run({{"ami_name", "mine"}, {"ami_description", "d"}});
  EXPECT_EQ(done.artifact->id, "eu-west-1:ami-2");
  EXPECT_EQ(done.artifact->description, "AMIs were created:\neu-west-1: ami-2\n");
  stage.undo.run(Outcome::succeeded, [](const std::string& problem) { ADD_FAILURE() << problem; });
  auto requests = asked();
  EXPECT_EQ(std::count(requests.begin(), requests.end(), "PUT /bucket/a%20b.raw?partNumber=1&"), 1);
  EXPECT_EQ(std::count(requests.begin(), requests.end(), "PUT /bucket/a%20b.raw?partNumber=3&"), 1)
      << "40 MiB are three parts";
  EXPECT_THAT(requests, testing::IsSupersetOf({"ImportImage", "CopyImage", "DeregisterImage", "ModifyImageAttribute"}));
  EXPECT_EQ(requests.back(), "DELETE /bucket/a%20b.raw");
  EXPECT_THAT(stage.journal.all(), IsEmpty());
}

TEST_F(AmazonImportTest, AFailedImportIsToldAndLeavesNothing) {
  task_status = "deleted";
  try {
    run({});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "Import task import-ami-1 failed with status message: ClientError: no");
  }
  stage.undo.run(Outcome::failed, [](const std::string& problem) { ADD_FAILURE() << problem; });
  EXPECT_EQ(asked().back(), "DELETE /bucket/a%20b.raw");
  EXPECT_THAT(stage.journal.all(), IsEmpty());
}

TEST_F(AmazonImportTest, WantsAFileOfTheFormat) {
  input.files.pop_back();
  EXPECT_THROW(run({}), Error);
  EXPECT_THAT(asked(), IsEmpty());
}

TEST(AmazonImportOptions, AreChecked) {
  TestStage stage;
  auto component = amazon_import_post_processor().make();
  stage.prepare(*component, Value(std::map<std::string, std::string>{
                                {"format", "iso"}, {"architecture", "arm64"}, {"boot_mode", "legacy-bios"}}));
  EXPECT_THAT(stage.complaints(),
              ElementsAre("s3_bucket_name must be set",
                          "invalid format 'iso'. Only 'ova', 'raw', 'vhd', 'vhdx', or 'vmdk' are allowed",
                          "invalid boot mode: arm64 requires the uefi boot mode"));
}

TEST(S3Parts, AreNoMoreThanS3Takes) {
  EXPECT_EQ(s3_part_size(1), uint64_t{16} << 20);
  uint64_t large = uint64_t{4} << 40;
  EXPECT_LE(large / s3_part_size(large), 9000u);
}

}  // namespace
}  // namespace kiln
