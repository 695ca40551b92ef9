#include "endpoint/machine_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "endpoint/selection.h"

namespace kiln::ec2 {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

SecurityGroup group_with(std::vector<Rule> rules) {
  SecurityGroup group;
  group.id = "sg-1";
  group.name = "one";
  group.rules = std::move(rules);
  return group;
}

Rule tcp(int64_t from, int64_t to) {
  Rule rule;
  rule.protocol = "tcp";
  rule.from_port = from;
  rule.to_port = to;
  rule.cidr = "0.0.0.0/0";
  return rule;
}

TEST(MachinePlan, GroupsBecomeForwards) {
  EXPECT_THAT(forwards_of({}, true), IsEmpty());
  EXPECT_THAT(forwards_of({group_with({tcp(22, 22), tcp(8000, 8001)})}, true),
              ElementsAre(Forward{22, 22}, Forward{8000, 8000}, Forward{8001, 8001}));
  Rule from_group = tcp(22, 22);
  from_group.cidr.clear();
  from_group.group_id = "sg-2";
  Rule out = tcp(22, 22);
  out.egress = true;
  EXPECT_THAT(forwards_of({group_with({from_group, out})}, true), IsEmpty());
  EXPECT_THAT(forwards_of({group_with({tcp(0, 0)})}, true), IsEmpty());
}

TEST(MachinePlan, WideRangesAreTheServicesPorts) {
  auto all = forwards_of({group_with({tcp(0, 65535)})}, true);
  EXPECT_THAT(all, Contains(Forward{22, 22}));
  EXPECT_THAT(all, Contains(Forward{443, 443}));
  EXPECT_LT(all.size(), 40u);
}

TEST(MachinePlan, LowPortsAreHighOnesForAnOrdinaryUser) {
  EXPECT_THAT(forwards_of({group_with({tcp(22, 22), tcp(80, 80), tcp(25, 25)})}, false),
              ElementsAre(Forward{2222, 22}, Forward{8080, 80}));
  // A template with ssh_port 2222 opens that port alone.
  EXPECT_THAT(forwards_of({group_with({tcp(2222, 2222)})}, false), ElementsAre(Forward{2222, 22}));
}

TEST(MachinePlan, Types) {
  EXPECT_EQ(shape_of("t2.micro")->memory, 1024);
  EXPECT_EQ(shape_of("m5.large")->memory, 8192);
  EXPECT_EQ(shape_of("m5.large")->cpus, 2);
  for (const auto& type : listed_types()) EXPECT_TRUE(shape_of(type)) << type;
  for (const char* type : {"", "t2", "t2.", ".micro", "t2.gigantic", "x9.large", "t2.micro.x"})
    EXPECT_FALSE(shape_of(type)) << type;
}

MachinePlan example() {
  MachinePlan plan;
  plan.name = "i-1";
  plan.type = "t2.micro";
  plan.uuid = "ec2abc12-34de-4567-8901-234567890abc";
  plan.mac = "02:00:0a:00:02:0f";
  plan.private_ip = "169.254.16.1";
  plan.address = "127.31.16.1";
  plan.disks = {{"vol-0a", "/state,x/vol-0a.qcow2"}, {"vol-0b", "/state,x/vol-0b.qcow2"}};
  plan.forwards = {{2222, 22}};
  plan.metadata_command = {"/usr/bin/kiln", "ec2", "imds", "/a b,c/metadata.json"};
  return plan;
}

TEST(MachinePlan, TheMachineLooksLikeOneOfEc2) {
  std::string all = join(machine_arguments(example()), "\n");
  EXPECT_THAT(all, HasSubstr("type=0,vendor=Amazon EC2"));
  EXPECT_THAT(all, HasSubstr("type=1,manufacturer=Amazon "
                             "EC2,product=t2.micro,version=,serial=ec2abc12-34de-4567-8901-234567890abc,"
                             "uuid=ec2abc12-34de-4567-8901-234567890abc"));
  EXPECT_THAT(all, HasSubstr("mac=02:00:0a:00:02:0f"));
  EXPECT_THAT(all, HasSubstr("dhcpstart=169.254.16.1"));
  EXPECT_THAT(all, HasSubstr("hostfwd=tcp:127.31.16.1:2222-:22"));
}

TEST(MachinePlan, MetadataIsServedByACommandAndNothingElseIsInReach) {
  std::string all = join(machine_arguments(example()), "\n");
  EXPECT_THAT(all, HasSubstr("guestfwd=tcp:169.254.169.254:80-cmd:"));
  EXPECT_THAT(all, HasSubstr("'/a b,,c/metadata.json'"));
  EXPECT_THAT(all, HasSubstr("restrict=on"));
  MachinePlan outbound = example();
  outbound.outbound = true;
  EXPECT_THAT(join(machine_arguments(outbound), "\n"), Not(HasSubstr("restrict=on")));
}

TEST(MachinePlan, DisksInOrderWithTheRootToBootFrom) {
  auto argv = machine_arguments(example());
  std::vector<std::string> devices;
  for (const auto& word : argv) {
    if (word.starts_with("virtio-blk-pci")) devices.push_back(word);
  }
  EXPECT_THAT(devices, ElementsAre("virtio-blk-pci,drive=vol0a,id=dev-vol0a,serial=vol0a,bootindex=1",
                                   "virtio-blk-pci,drive=vol0b,id=dev-vol0b,serial=vol0b"));
  EXPECT_EQ(blockdev_of({"vol-0a", "/x,y"})["file"]["filename"], "/x,y");
}

TEST(MachinePlan, MetadataOfAnInstance) {
  Instance instance;
  instance.id = "i-1";
  instance.region = "eu-west-1";
  instance.zone = "eu-west-1a";
  instance.address = "127.31.16.1";
  instance.mac = "02:00:0a:00:02:0f";
  instance.key_name = "mine";
  instance.public_key = "ssh-rsa AAAA mine";
  instance.user_data = "IyEvYmluL3NoCg==";
  instance.metadata.http_tokens = "required";
  Metadata metadata = metadata_of(instance, {group_with({})}, {{"Name", "web"}}, "123456789012");
  EXPECT_EQ(metadata.tree.at("instance-id"), "i-1");
  EXPECT_EQ(metadata.tree.at("local-ipv4"), "169.254.16.1");
  EXPECT_EQ(metadata.tree.at("local-hostname"), "ip-169-254-16-1.eu-west-1.compute.internal");
  EXPECT_EQ(metadata.tree.at("security-groups"), "one");
  EXPECT_EQ(metadata.tree.at("public-keys/0/openssh-key"), "ssh-rsa AAAA mine\n");
  EXPECT_FALSE(metadata.tree.contains("tags/instance/Name")) << "only when the instance's options say so";
  EXPECT_EQ(metadata.user_data, "#!/bin/sh\n");
  EXPECT_TRUE(metadata.tokens_required);
  instance.metadata.instance_tags = "enabled";
  EXPECT_EQ(metadata_of(instance, {}, {{"Name", "web"}}, "1").tree.at("tags/instance/Name"), "web");
  EXPECT_FALSE(metadata.tree.contains("iam/info"));
  instance.profile_arn = "arn:aws:iam::1:instance-profile/web";
  instance.metadata.http_tokens = "optional";
  InstanceRole role{
      "reader", {.id = "ASIA1", .secret = "s", .token = "t", .expires = 1800000000}, "2027-01-15T02:00:00Z"};
  metadata = metadata_of(instance, {}, {}, "1", role);
  auto keys = nlohmann::json::parse(metadata.tree.at("iam/security-credentials/reader"));
  EXPECT_EQ(keys["AccessKeyId"], "ASIA1");
  EXPECT_EQ(keys["Token"], "t");
  EXPECT_EQ(keys["Expiration"], "2027-01-15T08:00:00Z");
  HttpCall list;
  list.method = "GET";
  list.path = "/latest/meta-data/iam/security-credentials/";
  EXPECT_EQ(answer_metadata(metadata, list, 0).body, "reader");
}

TEST(Selection, Wildcards) {
  EXPECT_TRUE(wildcard_match("debian-*-amd64", "debian-12-amd64"));
  EXPECT_TRUE(wildcard_match("*", ""));
  EXPECT_TRUE(wildcard_match("a?c", "abc"));
  EXPECT_TRUE(wildcard_match("a\\*c", "a*c"));
  EXPECT_FALSE(wildcard_match("a\\*c", "abc"));
  EXPECT_TRUE(wildcard_match("*/x/*.img", "a/b/x/y/z.img"));
  EXPECT_FALSE(wildcard_match("debian", "debian-12"));
  EXPECT_FALSE(wildcard_match("", "x"));
  EXPECT_TRUE(wildcard_match("[a]", "[a]"));
  EXPECT_FALSE(wildcard_match(std::string(200, '*') + "b", std::string(2000, 'a')));
}

}  // namespace
}  // namespace kiln::ec2
