#include "kit/cloud_seed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const CloudSeedMachine with_key{"iid-1", "ssh-ed25519 AAAA packer_1\n", "me"};

std::vector<std::string> names(const std::map<std::string, std::string>& files) {
  std::vector<std::string> out;
  out.reserve(files.size());
  for (const auto& [name, content] : files) out.push_back(name);
  return out;
}

TEST(CloudSeed, HasTheFilesOfNoCloud) {
  CloudSeedConfig seed{.user_data = "#!/bin/sh\ntrue\n"};
  auto files = cloud_seed_files(seed, {"iid-1", "", "me"});
  EXPECT_THAT(names(files), ElementsAre("meta-data", "user-data"));
  EXPECT_EQ(files["user-data"], "#!/bin/sh\ntrue\n");
  EXPECT_EQ(files["meta-data"], "instance-id: \"iid-1\"\n");
  seed.network_config = "version: 2\n";
  EXPECT_EQ(cloud_seed_files(seed, {"iid-1", "", ""})["network-config"], "version: 2\n");
}

TEST(CloudSeed, TheBuildsKeyIsWhereACloudPutsItAndTheUsers) {
  auto files = cloud_seed_files({}, with_key);
  EXPECT_THAT(names(files), ElementsAre("meta-data", "user-data", "vendor-data"));
  EXPECT_EQ(files["user-data"], "");
  EXPECT_EQ(files["meta-data"], "instance-id: \"iid-1\"\npublic-keys: [\"ssh-ed25519 AAAA packer_1\"]\n");
  EXPECT_EQ(files["vendor-data"],
            "#cloud-config\nusers:\n  - default\n  - name: \"me\"\n    ssh_authorized_keys:\n"
            "      - \"ssh-ed25519 AAAA packer_1\"\n");
  EXPECT_THAT(cloud_seed_files({}, {"i", "ssh-rsa A b", "root"})["vendor-data"], HasSubstr("\ndisable_root: false\n"));
}

TEST(CloudSeed, GivenMetaDataIsCompleted) {
  auto meta = [](const std::string& given) { return cloud_seed_files({.meta_data = given}, with_key)["meta-data"]; };
  EXPECT_EQ(meta("local-hostname: web"),
            "local-hostname: web\ninstance-id: \"iid-1\"\npublic-keys: [\"ssh-ed25519 AAAA packer_1\"]\n");
  EXPECT_EQ(meta("instance-id: mine\npublic-keys: []\n"), "instance-id: mine\npublic-keys: []\n");
  EXPECT_EQ(
      meta(" {\"local-hostname\": \"web\"}\n"),
      "{\"public-keys\": [\"ssh-ed25519 AAAA packer_1\"], \"instance-id\": \"iid-1\", \"local-hostname\": \"web\"}\n");
  EXPECT_EQ(meta("{}"), "{\"public-keys\": [\"ssh-ed25519 AAAA packer_1\"], \"instance-id\": \"iid-1\"}\n");
}

TEST(CloudSeed, KnowsWhatCloudInitTakes) {
  for (auto good : {"#cloud-config\n{}\n", "#!/bin/sh\n", "#include\nhttp://x\n", "## template: jinja\n#cloud-config\n",
                    "Content-Type: multipart/mixed; boundary=\"x\"\nMIME-Version: 1.0\n", "#cloud-boothook\n",
                    "\x1f\x8b\x08", ""}) {
    EXPECT_EQ(strange_user_data(good), nullptr) << good;
  }
  EXPECT_NE(strange_user_data("packages: [x]\n"), nullptr);
  EXPECT_NE(strange_user_data("# cloud-config\n"), nullptr);
  EXPECT_THAT(strange_user_data("\n#cloud-config\n"), HasSubstr("white space"));
}

std::vector<std::string> prepared(CloudSeedConfig& seed) {
  TestStage stage;
  Value config = Value::empty_object();
  prepare_cloud_seed(seed, {config, stage.build, stage.diagnostics});
  return stage.complaints();
}

TEST(CloudSeed, AFileIsReadAsItIs) {
  TempDir directory;
  fs::path file = directory.path() / "user-data";
  write_file_atomically(file, "## template: jinja\n{{ ds.x }}\n");
  CloudSeedConfig seed{.user_data_file = file.string()};
  EXPECT_THAT(prepared(seed), IsEmpty());
  EXPECT_EQ(cloud_seed_files(seed, with_key)["user-data"], "## template: jinja\n{{ ds.x }}\n");
}

TEST(CloudSeed, MistakesAreTold) {
  CloudSeedConfig missing{.user_data_file = "/nowhere/user-data"};
  EXPECT_THAT(prepared(missing), ElementsAre(HasSubstr("user_data_file: ")));
  CloudSeedConfig both{.user_data = "#!/bin/sh\n", .user_data_file = "/nowhere/user-data"};
  EXPECT_THAT(prepared(both), ElementsAre("Only one of user_data or user_data_file can be specified."));
  CloudSeedConfig strange{.user_data = "packages: [x]\n"};
  EXPECT_THAT(prepared(strange), ElementsAre(HasSubstr("user_data: cloud-init would pass it over")));
}

}  // namespace
}  // namespace kiln
