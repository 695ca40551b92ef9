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
  std::string snapshot_status = "completed";
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
    if (request.target == "/snapshots") return {201, R"({"SnapshotId":"snap-1","BlockSize":524288})"};
    if (request.target.starts_with("/snapshots/")) return {201, "{}"};
    if (request.target.starts_with("/bucket/")) return {200, "<R/>"};
    auto asks = [&](const char* action) { return request.body.starts_with(std::string("Action=") + action + "&"); };
    if (asks("ImportImage")) return {200, "<R><importTaskId>import-ami-1</importTaskId></R>"};
    if (asks("DescribeImportImageTasks")) {
      return {200, "<R><importImageTaskSet><item><importTaskId>import-ami-1</importTaskId><status>" + task_status +
                       "</status><statusMessage>ClientError: "
                       "no</statusMessage><imageId>ami-1</imageId></item></importImageTaskSet></R>"};
    }
    if (asks("RegisterImage")) return {200, "<R><imageId>ami-2</imageId></R>"};
    if (asks("DescribeSnapshots")) {
      return {200, "<R><snapshotSet><item><snapshotId>snap-1</snapshotId><status>" + snapshot_status +
                       "</status><statusMessage>no</statusMessage></item></snapshotSet></R>"};
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

/// EBS' direct APIs: blocks that hold anything, each with its checksum, and how many they were.
TEST_F(AmazonImportTest, WritesASnapshotBlockByBlock) {
  constexpr size_t block = 512 * 1024;
  std::string content(5 * block + 100, '\0');
  content[0] = 'a';
  content[3 * block + 7] = 'b';
  content.back() = 'c';
  write_file_atomically(input.files[1], content);
  PostProcessed done = run({{"upload", "ebs-direct"}, {"s3_bucket_name", ""}, {"ami_name", "mine"}});
  EXPECT_EQ(done.artifact->id, "eu-west-1:ami-2");
  std::map<std::string, TestHttpRequest> blocks;
  std::string count, registered;
  for (const auto& request : server.requests()) {
    if (request.method == "PUT") blocks[request.target] = request;
    if (request.target == "/snapshots/completion/snap-1")
      count = request.headers.at("x-amz-changedblockscount");
    if (request.body.starts_with("Action=RegisterImage")) registered = request.body;
  }
  EXPECT_EQ(count, "3");
  ASSERT_THAT(blocks, testing::UnorderedElementsAre(testing::Key("/snapshots/snap-1/blocks/0"),
                                                    testing::Key("/snapshots/snap-1/blocks/3"),
                                                    testing::Key("/snapshots/snap-1/blocks/5")));
  TestHttpRequest last = blocks["/snapshots/snap-1/blocks/5"];
  std::string whole = content.substr(5 * block) + std::string(block - 100, '\0');
  EXPECT_EQ(last.body, whole) << "the last one is filled up";
  EXPECT_EQ(last.headers["x-amz-checksum"], aws_checksum_sha256(whole));
  EXPECT_EQ(last.headers["x-amz-data-length"], "524288");
  EXPECT_THAT(registered, HasSubstr("BlockDeviceMapping.1.Ebs.SnapshotId=snap-1"));
  stage.undo.run(Outcome::succeeded, [](const std::string& problem) { ADD_FAILURE() << problem; });
  EXPECT_THAT(asked(), testing::Not(Contains("DeleteSnapshot")));
  EXPECT_THAT(stage.journal.all(), IsEmpty());
}

TEST_F(AmazonImportTest, ASnapshotThatFailsIsDeleted) {
  snapshot_status = "error";
  try {
    run({{"upload", "ebs-direct"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "the snapshot snap-1 failed: no");
  }
  EXPECT_EQ(stage.journal.all().size(), 1u) << "found by its tag after a crash";
  stage.undo.run(Outcome::failed, [](const std::string& problem) { ADD_FAILURE() << problem; });
  EXPECT_EQ(asked().back(), "DeleteSnapshot");
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
