#include "endpoint/metadata.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace kiln::ec2 {
namespace {

constexpr int64_t now = 1'790'000'000;

Metadata example() {
  Metadata out;
  out.tree = {{"ami-id", "ami-1"},
              {"placement/region", "eu-west-1"},
              {"placement/availability-zone", "eu-west-1a"},
              {"public-keys/0/name", "mine"},
              {"public-keys/0/openssh-key", "ssh-rsa AAAA mine\n"}};
  out.dynamic = {{"instance-identity/document", "{}"}};
  out.user_data = std::string("#!/bin/sh\n\0x", 12);
  out.token_secret = "secret";
  return out;
}

HttpCall call_of(const std::string& method, const std::string& path, HttpHeaders headers = {}) {
  HttpCall call;
  call.method = method;
  call.path = path;
  call.headers = std::move(headers);
  return call;
}

std::string get(const Metadata& metadata, const std::string& path, HttpHeaders headers = {}) {
  HttpReply reply = answer_metadata(metadata, call_of("GET", path, std::move(headers)), now);
  return reply.status == 200 ? reply.body : std::to_string(reply.status);
}

std::string token_of(const Metadata& metadata, const std::string& life, int64_t at = now) {
  HttpReply reply = answer_metadata(
      metadata, call_of("PUT", "/latest/api/token", {{"X-aws-ec2-metadata-token-ttl-seconds", life}}), at);
  return reply.status == 200 ? reply.body : std::to_string(reply.status);
}

TEST(Metadata, DirectoriesAndLeaves) {
  Metadata metadata = example();
  EXPECT_EQ(get(metadata, "/latest/meta-data/"), "ami-id\nplacement/\npublic-keys/");
  EXPECT_EQ(get(metadata, "/latest/meta-data"), "ami-id\nplacement/\npublic-keys/");
  EXPECT_EQ(get(metadata, "/2021-03-23/meta-data/placement/"), "availability-zone\nregion");
  EXPECT_EQ(get(metadata, "/latest/meta-data/placement/region"), "eu-west-1");
  EXPECT_EQ(get(metadata, "//latest/meta-data/ami-id"), "ami-1");
  EXPECT_EQ(get(metadata, "/latest/meta-data/none"), "404");
  EXPECT_EQ(get(metadata, "/latest/meta-data/../user-data"), "404");
  EXPECT_EQ(get(metadata, "/2099-01-01/meta-data/"), "404");
  EXPECT_EQ(get(metadata, "/latest/"), "dynamic\nmeta-data\nuser-data");
  EXPECT_EQ(get(metadata, "/latest/dynamic/instance-identity/document"), "{}");
}

TEST(Metadata, KeysAreListedInTheirOwnWay) {
  Metadata metadata = example();
  EXPECT_EQ(get(metadata, "/latest/meta-data/public-keys/"), "0=mine");
  EXPECT_EQ(get(metadata, "/latest/meta-data/public-keys/0/"), "openssh-key");
  EXPECT_EQ(get(metadata, "/latest/meta-data/public-keys/0/openssh-key"), "ssh-rsa AAAA mine\n");
  EXPECT_EQ(get(metadata, "/latest/meta-data/public-keys/1/openssh-key"), "404");
}

TEST(Metadata, UserDataIsBytes) {
  EXPECT_EQ(get(example(), "/latest/user-data"), example().user_data);
  Metadata none = example();
  none.user_data.clear();
  EXPECT_EQ(get(none, "/latest/user-data"), "404");
}

TEST(Metadata, Tokens) {
  Metadata metadata = example();
  metadata.tokens_required = true;
  EXPECT_EQ(get(metadata, "/latest/meta-data/ami-id"), "401");
  std::string token = token_of(metadata, "60");
  EXPECT_EQ(get(metadata, "/latest/meta-data/ami-id", {{"X-aws-ec2-metadata-token", token}}), "ami-1");
  EXPECT_EQ(get(metadata, "/latest/meta-data/ami-id",
                {{"X-aws-ec2-metadata-token", token_of(metadata, "60", now - 61)}}),
            "401");
  std::string later = "9" + token;
  EXPECT_EQ(get(metadata, "/latest/meta-data/ami-id", {{"X-aws-ec2-metadata-token", later}}), "401");
  Metadata other = metadata;
  other.token_secret = "another";
  EXPECT_EQ(get(other, "/latest/meta-data/ami-id", {{"X-aws-ec2-metadata-token", token}}), "401");
  metadata.tokens_required = false;
  EXPECT_EQ(get(metadata, "/latest/meta-data/ami-id", {{"X-aws-ec2-metadata-token", "rubbish"}}), "401");
}

TEST(Metadata, TokenRequestsAreChecked) {
  Metadata metadata = example();
  for (const char* life : {"", "0", "21601", "x", "60x"}) EXPECT_EQ(token_of(metadata, life), "400") << life;
  EXPECT_EQ(get(metadata, "/latest/api/token"), "405");
  HttpCall forwarded =
      call_of("PUT", "/latest/api/token",
              {{"X-aws-ec2-metadata-token-ttl-seconds", "60"}, {"X-Forwarded-For", "1.2.3.4"}});
  EXPECT_EQ(answer_metadata(metadata, forwarded, now).status, 403);
  EXPECT_EQ(answer_metadata(metadata, call_of("POST", "/latest/meta-data/"), now).status, 405);
}

TEST(Metadata, CanBeSwitchedOff) {
  Metadata metadata = example();
  metadata.enabled = false;
  EXPECT_EQ(get(metadata, "/latest/meta-data/"), "403");
}

TEST(Metadata, IsKeptAsText) {
  Metadata metadata = example();
  Metadata read = metadata_from_json(metadata_to_json(metadata));
  EXPECT_EQ(read.tree, metadata.tree);
  EXPECT_EQ(read.user_data, metadata.user_data);
  EXPECT_EQ(read.token_secret, metadata.token_secret);
  EXPECT_THROW(metadata_from_json("{"), Error);
  EXPECT_THROW(metadata_from_json("{}"), Error);
}

}  // namespace
}  // namespace kiln::ec2
