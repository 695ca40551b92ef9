#include "endpoint/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "endpoint/disks.h"
#include "endpoint/session_keys.h"

namespace kiln::ec2 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

/// An endpoint on a directory of its own; its machines do not start.
class EndpointTest : public testing::Test {
 protected:
  EndpointTest() { reopen(); }

  void reopen() {
    endpoint_.reset();
    MachineOptions options;
    options.qemu = "false";
    options.metadata_command = {"true"};
    endpoint_ = std::make_unique<Endpoint>(directory_.path() / "ec2", *journal_, options);
  }

  /// The answer as XML, below a root; an error is a text with its code.
  pugi::xml_document call(const std::string& action, const std::string& form = "",
                          const std::string& service = "ec2") {
    pugi::xml_document out;
    std::string xml =
        "<a>" + endpoint_->call(service, action, "eu-west-1", Params::parse(form), Stop()) + "</a>";
    EXPECT_TRUE(out.load_string(xml.c_str())) << xml;
    return out;
  }
  std::string one(const std::string& action, const std::string& form, const char* path,
                  const std::string& service = "ec2") {
    return call(action, form, service).child("a").select_node(path).node().text().get();
  }
  std::vector<std::string> all(const std::string& action, const std::string& form, const char* path) {
    std::vector<std::string> out;
    auto document = call(action, form);
    for (const auto& node : document.child("a").select_nodes(path))
      out.emplace_back(node.node().text().get());
    return out;
  }
  std::string error(const std::string& action, const std::string& form = "",
                    const std::string& service = "ec2") {
    try {
      endpoint_->call(service, action, "eu-west-1", Params::parse(form), Stop());
      return "";
    } catch (const ApiError& e) {
      return e.code();
    }
  }

  /// An AMI without content.
  std::string add_image(const std::string& name, const std::string& owner = "123456789012") {
    auto lock = endpoint_->state().lock();
    Snapshot snapshot;
    snapshot.id = endpoint_->state().new_id("snap");
    snapshot.region = "eu-west-1";
    snapshot.state = "completed";
    snapshot.file = snapshot.id + ".qcow2";
    snapshot.size = 2;
    endpoint_->state().put(snapshot);
    Image image;
    image.id = endpoint_->state().new_id("ami");
    image.region = "eu-west-1";
    image.name = name;
    image.state = "available";
    image.owner = owner;
    image.created = now_text();
    image.devices.push_back(
        {.device = "/dev/xvda", .snapshot_id = snapshot.id, .size = 2, .volume_type = "gp2"});
    endpoint_->state().put(image);
    return image.id;
  }

  std::string wait_for_state(const std::string& id, const std::string& wanted) {
    State::Waiter waiter(endpoint_->state());
    for (Deadline deadline = Deadline::in(std::chrono::seconds(30)); !deadline.passed();) {
      {
        auto lock = endpoint_->state().lock();
        if (endpoint_->state().instances.at(id).state == wanted) return wanted;
      }
      waiter.wait_for_change(deadline, Stop());
    }
    return "never " + wanted;
  }

  TempDir directory_;
  std::unique_ptr<Journal> journal_ = make_memory_journal();
  std::unique_ptr<Endpoint> endpoint_;
};

TEST_F(EndpointTest, RegionsAndZones) {
  EXPECT_THAT(all("DescribeRegions", "RegionName.1=eu-west-1", "regionInfo/item/regionName"),
              ElementsAre("eu-west-1"));
  EXPECT_THAT(all("DescribeAvailabilityZones", "", "availabilityZoneInfo/item/zoneName"),
              ElementsAre("eu-west-1a", "eu-west-1b", "eu-west-1c"));
  EXPECT_EQ(error("DescribeRegions", "RegionName.1=mars"), "InvalidParameterValue");
}

TEST_F(EndpointTest, UnknownActionsAndDryRuns) {
  EXPECT_EQ(error("MakeCoffee"), "InvalidAction");
  EXPECT_EQ(error("DescribeRegions", "", "s3"), "InvalidAction");
  EXPECT_EQ(error("CreateKeyPair", "KeyName=k&DryRun=true"), "DryRunOperation");
  EXPECT_THAT(all("DescribeKeyPairs", "", "keySet/item/keyName"), IsEmpty());
}

TEST_F(EndpointTest, KeyPairs) {
  std::string material = one("CreateKeyPair", "KeyName=k&KeyType=ed25519", "keyMaterial");
  EXPECT_THAT(material, HasSubstr("PRIVATE KEY"));
  EXPECT_EQ(error("CreateKeyPair", "KeyName=k"), "InvalidKeyPair.Duplicate");
  EXPECT_EQ(error("CreateKeyPair", "KeyName=x&KeyType=dsa"), "InvalidParameterValue");
  EXPECT_EQ(error("ImportKeyPair", "KeyName=i&PublicKeyMaterial=bm9uc2Vuc2U%3D"), "InvalidKey.Format");
  EXPECT_EQ(error("ImportKeyPair", "KeyName=i&PublicKeyMaterial=%21"), "InvalidKey.Format");
  std::string line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJkQ2dVtQqYvGZIxB3gS6Qz8r0pXoTUJ4bGJ0eFzM0a1 me";
  one("ImportKeyPair", "KeyName=i&PublicKeyMaterial=" + aws_uri_encode(base64_encode(line)), "keyName");
  EXPECT_THAT(all("DescribeKeyPairs", "Filter.1.Name=key-name&Filter.1.Value.1=%3F", "keySet/item/keyName"),
              UnorderedElementsAre("k", "i"));
  EXPECT_EQ(one("DeleteKeyPair", "KeyName=k", "return"), "true");
  EXPECT_EQ(one("DeleteKeyPair", "KeyName=k", "return"), "true") << "of one that is not there is no error";
  EXPECT_EQ(error("DescribeKeyPairs", "KeyName.1=k"), "InvalidKeyPair.NotFound");
}

TEST_F(EndpointTest, SecurityGroups) {
  std::string id = one("CreateSecurityGroup", "GroupName=web&GroupDescription=d&VpcId=", "groupId");
  EXPECT_EQ(error("CreateSecurityGroup", "GroupName=web&GroupDescription=d"), "InvalidGroup.Duplicate");
  std::string rule = "GroupId=" + id +
                     "&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22"
                     "&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0%2F0";
  EXPECT_EQ(one("AuthorizeSecurityGroupIngress", rule, "return"), "true");
  EXPECT_EQ(error("AuthorizeSecurityGroupIngress", rule), "InvalidPermission.Duplicate");
  EXPECT_THAT(all("DescribeSecurityGroups", "GroupId.1=" + id,
                  "securityGroupInfo/item/ipPermissions/item/ipRanges/item/cidrIp"),
              ElementsAre("0.0.0.0/0"));
  EXPECT_EQ(one("RevokeSecurityGroupIngress", rule, "return"), "true");
  EXPECT_THAT(all("DescribeSecurityGroups", "GroupId.1=" + id, "securityGroupInfo/item/ipPermissions/item"),
              IsEmpty());
  for (const char* bad :
       {"IpProtocol=tcp&FromPort=70000&ToPort=80000&CidrIp=0.0.0.0/0",
        "IpProtocol=tcp&FromPort=1&ToPort=1&CidrIp=all", "IpProtocol=smoke&CidrIp=0.0.0.0/0"}) {
    EXPECT_EQ(error("AuthorizeSecurityGroupIngress", "GroupId=" + id + "&" + bad), "InvalidParameterValue")
        << bad;
  }
  EXPECT_EQ(error("DeleteSecurityGroup", "GroupName=default"), "CannotDelete");
  EXPECT_EQ(one("DeleteSecurityGroup", "GroupId=" + id, "return"), "true");
  EXPECT_EQ(error("DeleteSecurityGroup", "GroupId=" + id), "InvalidGroup.NotFound");
}

TEST_F(EndpointTest, ARuleIsChangedInPlaceAndKeepsItsTags) {
  std::string group = one("CreateSecurityGroup", "GroupName=web&GroupDescription=d", "groupId");
  std::string rule = one("AuthorizeSecurityGroupIngress",
                         "GroupId=" + group +
                             "&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=80&IpPermissions.1.ToPort=80"
                             "&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8&TagSpecification.1.Tag.1.Key=a"
                             "&TagSpecification.1.ResourceType=security-group-rule",
                         "securityGroupRuleSet/item/securityGroupRuleId");
  std::string change = "GroupId=" + group + "&SecurityGroupRule.1.SecurityGroupRuleId=" + rule +
                       "&SecurityGroupRule.1.SecurityGroupRule.IpProtocol=tcp"
                       "&SecurityGroupRule.1.SecurityGroupRule.FromPort=443"
                       "&SecurityGroupRule.1.SecurityGroupRule.ToPort=443";
  std::string source = "&SecurityGroupRule.1.SecurityGroupRule.CidrIpv4=";
  EXPECT_EQ(error("ModifySecurityGroupRules", change), "InvalidParameterValue") << "no source";
  EXPECT_EQ(error("ModifySecurityGroupRules", change + source + "x"), "InvalidParameterValue");
  EXPECT_EQ(error("ModifySecurityGroupRules", "GroupId=" + group + "&SecurityGroupRule.1.SecurityGroupRuleId=sgr-1"),
            "InvalidSecurityGroupRuleId.NotFound");
  EXPECT_EQ(one("ModifySecurityGroupRules", change + source + "192.0.2.0/24", "return"), "true");
  std::string named = "SecurityGroupRuleId.1=" + rule;
  EXPECT_EQ(one("DescribeSecurityGroupRules", named, "securityGroupRuleSet/item/fromPort"), "443");
  EXPECT_EQ(one("DescribeSecurityGroupRules", named, "securityGroupRuleSet/item/cidrIpv4"), "192.0.2.0/24");
  EXPECT_EQ(one("DescribeSecurityGroupRules", named, "securityGroupRuleSet/item/tagSet/item/key"), "a");
  call("DeleteSecurityGroup", "GroupId=" + group);
  EXPECT_THAT(all("DescribeTags", "", "tagSet/item/key"), IsEmpty());
  EXPECT_EQ(error("DescribeSecurityGroupRules", named), "InvalidSecurityGroupRuleId.NotFound");
}

TEST_F(EndpointTest, ImagesByFilterOwnerAndTag) {
  std::string debian = add_image("debian-12-amd64", "136693071363");
  std::string mine = add_image("mine/app");
  EXPECT_THAT(all("DescribeImages", "Owner.1=self", "imagesSet/item/imageId"), ElementsAre(mine));
  EXPECT_THAT(all("DescribeImages", "Owner.1=136693071363&Filter.1.Name=name&Filter.1.Value.1=debian-1%3F-*",
                  "imagesSet/item/imageId"),
              ElementsAre(debian));
  EXPECT_THAT(all("DescribeImages", "Filter.1.Name=name&Filter.1.Value.1=nothing", "imagesSet/item"),
              IsEmpty());
  EXPECT_EQ(error("DescribeImages", "Filter.1.Name=colour&Filter.1.Value.1=red"), "InvalidParameterValue");
  one("CreateTags", "ResourceId.1=" + mine + "&Tag.1.Key=env&Tag.1.Value=test", "return");
  EXPECT_THAT(all("DescribeImages", "Filter.1.Name=tag%3Aenv&Filter.1.Value.1=te*", "imagesSet/item/imageId"),
              ElementsAre(mine));
  EXPECT_THAT(all("DescribeTags", "Filter.1.Name=resource-id&Filter.1.Value.1=" + mine, "tagSet/item/value"),
              ElementsAre("test"));
  EXPECT_EQ(error("DescribeImages", "ImageId.1=ami-00"), "InvalidAMIID.NotFound");
  EXPECT_EQ(error("DescribeImages", "ImageId.1=..%2F..%2Fetc"), "InvalidAMIID.Malformed");
  EXPECT_EQ(error("CreateTags", "ResourceId.1=" + mine + "&Tag.1.Key=aws%3Ax&Tag.1.Value=y"),
            "InvalidParameterValue");
}

TEST_F(EndpointTest, PagesAreWholeTogether) {
  for (int i = 0; i < 5; ++i) add_image("image" + std::to_string(i));
  std::vector<std::string> names;
  std::string token;
  for (int page = 0; page < 3; ++page) {
    std::string form = "MaxResults=2" + (token.empty() ? "" : "&NextToken=" + token);
    for (auto& name : all("DescribeImages", form, "imagesSet/item/name")) names.push_back(name);
    token = one("DescribeImages", form, "nextToken");
  }
  EXPECT_EQ(token, "");
  EXPECT_THAT(names, UnorderedElementsAre("image0", "image1", "image2", "image3", "image4"));
  EXPECT_EQ(error("DescribeImages", "NextToken=nonsense"), "InvalidNextToken");
}

TEST_F(EndpointTest, RunInstancesChecksEverythingBeforeItMakesAnything) {
  std::string image = add_image("base");
  std::string good = "ImageId=" + image + "&MinCount=1&MaxCount=1&InstanceType=t2.nano";
  EXPECT_EQ(error("RunInstances", "MinCount=1&MaxCount=1"), "MissingParameter");
  EXPECT_EQ(error("RunInstances", "ImageId=ami-0123&MinCount=1&MaxCount=1"), "InvalidAMIID.NotFound");
  for (const char* bad :
       {"InstanceType=x1.tiny", "MaxCount=0", "UserData=%2A", "KeyName=nobody", "SubnetId=subnet-0",
        "SecurityGroupId.1=sg-0",
        "BlockDeviceMapping.1.DeviceName=%2Fdev%2Fxvda&BlockDeviceMapping.1.Ebs.VolumeSize=1",
        "InstanceInitiatedShutdownBehavior=explode", "MetadataOptions.HttpTokens=maybe",
        "Placement.AvailabilityZone=mars", "MaxCount=100000"}) {
    EXPECT_NE(error("RunInstances", good + "&" + bad), "") << bad;
  }
  EXPECT_THAT(endpoint_->state().instances, IsEmpty());
  EXPECT_THAT(endpoint_->state().volumes, IsEmpty());
}

TEST_F(EndpointTest, AMachineThatDoesNotStartIsTerminatedWithTheReason) {
  std::string image = add_image("base");
  std::string id = one("RunInstances", "ImageId=" + image + "&MinCount=1&MaxCount=1&InstanceType=t2.nano",
                       "instancesSet/item/instanceId");
  EXPECT_EQ(wait_for_state(id, "terminated"), "terminated");
  EXPECT_EQ(one("DescribeInstances", "InstanceId.1=" + id,
                "reservationSet/item/instancesSet/item/stateReason/code"),
            "Server.InternalError");
  EXPECT_THAT(endpoint_->state().volumes, IsEmpty());
  EXPECT_THAT(journal_->all(), IsEmpty());
  EXPECT_EQ(error("StopInstances", "InstanceId.1=" + id), "IncorrectInstanceState");
  EXPECT_EQ(one("TerminateInstances", "InstanceId.1=" + id, "instancesSet/item/currentState/name"),
            "terminated");
}

TEST_F(EndpointTest, TheSameTokenMakesTheSameInstances) {
  std::string form =
      "ImageId=" + add_image("base") + "&MinCount=2&MaxCount=2&InstanceType=t2.nano&ClientToken=abc";
  auto first = all("RunInstances", form, "instancesSet/item/instanceId");
  EXPECT_EQ(first.size(), 2u);
  EXPECT_THAT(all("RunInstances", form, "instancesSet/item/instanceId"),
              testing::UnorderedElementsAreArray(first));
  EXPECT_EQ(error("RunInstances", form + "&InstanceInitiatedShutdownBehavior=terminate"),
            "IdempotentParameterMismatch");
}

TEST_F(EndpointTest, HostileIdentifiersReachNoFile) {
  std::string hostile = "..%2F..%2F..%2Fetc%2Fpasswd";
  EXPECT_EQ(error("GetConsoleOutput", "InstanceId=" + hostile), "InvalidInstanceID.Malformed");
  EXPECT_EQ(error("DeleteVolume", "VolumeId=" + hostile), "InvalidVolumeID.Malformed");
  EXPECT_EQ(error("DeleteSnapshot", "SnapshotId=" + hostile), "InvalidSnapshotID.Malformed");
  EXPECT_EQ(error("CreateVolume", "AvailabilityZone=eu-west-1a&Size=99999999999"), "InvalidParameterValue");
  EXPECT_EQ(error("CreateVolume", "AvailabilityZone=eu-west-1a&Size=-5"), "InvalidParameterValue");
}

TEST_F(EndpointTest, CopiedImagesShareTheirContent) {
  std::string image = add_image("base");
  std::string copy =
      one("CopyImage", "Name=copy&SourceRegion=eu-west-1&Encrypted=true&SourceImageId=" + image, "imageId");
  EXPECT_EQ(
      one("DescribeImages", "ImageId.1=" + copy, "imagesSet/item/blockDeviceMapping/item/ebs/encrypted"),
      "true");
  EXPECT_EQ(error("CopyImage", "Name=other&SourceRegion=us-east-1&SourceImageId=" + image),
            "InvalidAMIID.NotFound");
  EXPECT_EQ(error("CopyImage", "Name=copy&SourceRegion=eu-west-1&SourceImageId=" + image),
            "InvalidAMIName.Duplicate");
  EXPECT_EQ(error("CopyImage", "Name=%24%24&SourceRegion=eu-west-1&SourceImageId=" + image),
            "InvalidAMIName.Malformed");
  std::string snapshot =
      one("DescribeImages", "ImageId.1=" + image, "imagesSet/item/blockDeviceMapping/item/ebs/snapshotId");
  EXPECT_EQ(error("DeleteSnapshot", "SnapshotId=" + snapshot), "InvalidSnapshot.InUse");
  fs::path file = snapshot_file(endpoint_->state(), snapshot + ".qcow2");
  fs::create_directories(file.parent_path());
  write_file_atomically(file, "content");
  one("DeregisterImage", "ImageId=" + image, "return");
  one("DeleteSnapshot", "SnapshotId=" + snapshot, "return");
  EXPECT_TRUE(fs::exists(file)) << "the copy stands on it";
  one("DeregisterImage", "DeleteAssociatedSnapshots=true&ImageId=" + copy, "return");
  EXPECT_FALSE(fs::exists(file));
}

TEST_F(EndpointTest, ImageAttributes) {
  std::string image = add_image("base");
  one("ModifyImageAttribute",
      "ImageId=" + image + "&LaunchPermission.Add.1.UserId=111122223333&UserId.1=111122223333", "return");
  EXPECT_THAT(all("DescribeImageAttribute", "Attribute=launchPermission&ImageId=" + image,
                  "launchPermission/item/userId"),
              ElementsAre("111122223333"));
  EXPECT_EQ(error("ModifyImageAttribute", "ImageId=" + image + "&LaunchPermission.Add.1.Group=some"),
            "InvalidParameterValue");
  one("ModifyImageAttribute", "Description.Value=words&ImageId=" + image, "return");
  EXPECT_EQ(one("DescribeImages", "ImageId.1=" + image, "imagesSet/item/description"), "words");
  EXPECT_EQ(one("EnableImageDeregistrationProtection", "ImageId=" + image, "return"), "enabled");
  EXPECT_EQ(error("DeregisterImage", "ImageId=" + image), "OperationNotPermitted");
}

TEST_F(EndpointTest, RolesAndProfiles) {
  one("CreateRole", "RoleName=r&AssumeRolePolicyDocument=%7B%7D", "Role/Arn", "iam");
  EXPECT_EQ(error("GetRole", "RoleName=none", "iam"), "NoSuchEntity");
  one("CreateInstanceProfile", "InstanceProfileName=p", "InstanceProfile/Arn", "iam");
  call("AddRoleToInstanceProfile", "InstanceProfileName=p&RoleName=r", "iam");
  EXPECT_EQ(
      one("GetInstanceProfile", "InstanceProfileName=p", "InstanceProfile/Roles/member/RoleName", "iam"),
      "r");
  EXPECT_EQ(error("DeleteRole", "RoleName=r", "iam"), "DeleteConflict");
  EXPECT_EQ(error("CreateRole", "RoleName=..%2Fx&AssumeRolePolicyDocument=%7B%7D", "iam"), "ValidationError");
}

TEST_F(EndpointTest, TheStateIsThereAfterAnotherStart) {
  std::string image = add_image("base");
  std::string key = endpoint_->own_keys().secret;
  one("CreateKeyPair", "KeyName=k&KeyType=ed25519", "keyName");
  one("CreateTags", "ResourceId.1=" + image + "&Tag.1.Key=a&Tag.1.Value=%3Cb%3E", "return");
  reopen();
  EXPECT_EQ(endpoint_->own_keys().secret, key);
  EXPECT_THAT(all("DescribeKeyPairs", "", "keySet/item/keyName"), ElementsAre("k"));
  EXPECT_EQ(one("DescribeImages", "ImageId.1=" + image, "imagesSet/item/tagSet/item/value"), "<b>");
}

TEST_F(EndpointTest, AnotherProcessMayWriteToTheState) {
  State other(directory_.path() / "ec2");
  {
    auto lock = other.lock();
    Image image;
    image.id = "ami-00000000000000001";
    image.region = "eu-west-1";
    image.name = "from elsewhere";
    image.state = "available";
    other.put(image);
  }
  EXPECT_THAT(all("DescribeImages", "", "imagesSet/item/name"), ElementsAre("from elsewhere"));
}

TEST_F(EndpointTest, WhatWasBeingMadeWhenItDiedIsToldAsFailed) {
  std::string id = add_image("half");
  {
    auto lock = endpoint_->state().lock();
    Image image = endpoint_->state().images.at(id);
    image.state = "pending";
    endpoint_->state().put(image);
    Instance instance;
    instance.id = "i-00000000000000001";
    instance.region = "eu-west-1";
    instance.state = "running";
    instance.address = "127.31.16.1";
    instance.pid = 1'000'000'000;
    endpoint_->state().put(instance);
  }
  reopen();
  endpoint_->machines().adopt();
  EXPECT_EQ(one("DescribeImages", "ImageId.1=" + id, "imagesSet/item/imageState"), "failed");
  EXPECT_EQ(one("DescribeInstances", "InstanceId.1=i-00000000000000001",
                "reservationSet/item/instancesSet/item/instanceState/name"),
            "stopped");
}

/// Requests over HTTP's data: signatures and the shape of errors.
class SignedEndpointTest : public EndpointTest {
 protected:
  HttpReply post(const std::string& body, const std::string& service, const AccessKey& key) {
    HttpCall call;
    call.method = "POST";
    call.path = "/";
    call.body = body;
    std::string time = format_amz_date(std::time(nullptr));
    AwsRequest request{"POST", "/", "", {{"Host", "127.0.0.1:1"}}, digest_hex("sha256", body)};
    call.headers = aws_signed_headers(request, {key.id, key.secret, key.token},
                                      {time.substr(0, 8), "eu-west-1", service}, time);
    return endpoint_->handle(call, Stop());
  }
};

TEST_F(SignedEndpointTest, AnswersAndErrorsHaveTheServicesShape) {
  AccessKey key = endpoint_->own_keys();
  HttpReply good = post("Action=DescribeRegions", "ec2", key);
  EXPECT_EQ(good.status, 200);
  EXPECT_THAT(
      good.body,
      HasSubstr("<DescribeRegionsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>"));
  HttpReply bad = post("Action=MakeTea%3C", "ec2", key);
  EXPECT_EQ(bad.status, 400);
  EXPECT_THAT(
      bad.body,
      HasSubstr("<Response><Errors><Error><Code>InvalidAction</Code><Message>The action MakeTea&lt; is"));
  EXPECT_THAT(post("Action=GetCallerIdentity", "sts", key).body, HasSubstr("<GetCallerIdentityResult><Arn>"));
  EXPECT_THAT(post("Action=GetRole&RoleName=x", "iam", key).body,
              HasSubstr("<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity"));
  EXPECT_EQ(post("Action=GetRole&RoleName=x", "iam", key).status, 404);
  key.secret += "x";
  EXPECT_EQ(post("Action=DescribeRegions", "ec2", key).status, 401);
}

TEST_F(SignedEndpointTest, JsonServicesAnswerInJsonWhateverTheyAreSent) {
  AccessKey key = endpoint_->own_keys();
  auto ask = [&](const std::string& target, const std::string& body) {
    HttpCall call;
    call.method = "POST";
    call.path = "/";
    call.body = body;
    std::string time = format_amz_date(std::time(nullptr));
    AwsRequest request{
        "POST", "/", "", {{"Host", "127.0.0.1:1"}, {"X-Amz-Target", target}}, digest_hex("sha256", body)};
    call.headers =
        aws_signed_headers(request, {key.id, key.secret, ""}, {time.substr(0, 8), "eu-west-1", "ssm"}, time);
    return nlohmann::json::parse(endpoint_->handle(call, Stop()).body);
  };
  EXPECT_EQ(ask("AmazonSSM.PutParameter", R"({"Name": "/a", "Value": "v"})")["Version"], 1);
  EXPECT_EQ(ask("AmazonSSM.GetParameter", R"({"Name": "/a"})")["Parameter"]["Value"], "v");
  EXPECT_EQ(ask("AmazonSSM.GetParameter", "{")["__type"], "SerializationException");
  EXPECT_EQ(ask("AmazonSSM.GetParameter", "[]")["__type"], "SerializationException");
  EXPECT_EQ(ask("AmazonSSM.GetParameter", R"({"Name": 1})")["__type"], "ValidationException");
  EXPECT_EQ(ask("AmazonSSM.GetParameters", R"({"Names": [1]})")["__type"], "ValidationException");
  EXPECT_EQ(ask("AmazonSSM.StartSession", "{}")["__type"], "UnknownOperationException");
  EXPECT_EQ(ask("secretsmanager.GetSecretValue", R"({"SecretId": "../x"})")["__type"],
            "ResourceNotFoundException");
}

TEST_F(SignedEndpointTest, AssumedRolesHaveKeysOfTheirOwn) {
  HttpReply reply = post("Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fbuild&RoleSessionName=se", "sts",
                         endpoint_->own_keys());
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(reply.body.c_str()));
  auto text = [&](const char* name) {
    return std::string(document.select_node((std::string("//") + name).c_str()).node().text().get());
  };
  AccessKey key{text("AccessKeyId"), text("SecretAccessKey"), text("SessionToken"), 0, "", ""};
  EXPECT_THAT(post("Action=GetCallerIdentity", "sts", key).body, HasSubstr(":assumed-role/build/s"));
  key.token.clear();
  EXPECT_EQ(post("Action=GetCallerIdentity", "sts", key).status, 401);
}

/// What an instance reads of its role signs its requests, until it is gone.
TEST_F(SignedEndpointTest, KeysOfAnInstancesRole) {
  call("CreateRole", "RoleName=reader&AssumeRolePolicyDocument=%7B%7D", "iam");
  call("CreateInstanceProfile", "InstanceProfileName=web", "iam");
  call("AddRoleToInstanceProfile", "InstanceProfileName=web&RoleName=reader", "iam");
  State& state = endpoint_->state();
  InstanceRole role, again;
  Instance instance;
  {
    auto lock = state.lock();
    instance.id = "i-00000000000000001";
    instance.region = "eu-west-1";
    EXPECT_FALSE(role_of_instance(state, instance, "1").has_value()) << "it has no profile";
    instance.profile_id = state.profiles.at("profile/web").unique_id;
    role = role_of_instance(state, instance, "1").value();
    again = role_of_instance(state, instance, "1").value();
  }
  EXPECT_EQ(role.name, "reader");
  EXPECT_EQ(role.key.id, again.key.id) << "they are good for hours";
  EXPECT_THAT(post("Action=GetCallerIdentity", "sts", role.key).body,
              HasSubstr("arn:aws:sts::1:assumed-role/reader/i-00000000000000001"));
  {
    auto lock = state.lock();
    AccessKey old = state.access_keys.at(role.key.id);
    old.expires = std::time(nullptr) + instance_key_life / 3;
    state.put(old);
    EXPECT_NE(role_of_instance(state, instance, "1")->key.id, role.key.id) << "renewed in time";
    release_instance(state, instance);
  }
  EXPECT_EQ(post("Action=GetCallerIdentity", "sts", role.key).status, 401);
}

/// EBS' direct APIs by their paths.
class DirectUploadTest : public EndpointTest {
 protected:
  HttpReply send(const std::string& method, const std::string& path, const std::string& body,
                 HttpHeaders headers = {}) {
    AccessKey key = endpoint_->own_keys();
    HttpCall call;
    call.method = method;
    call.path = path;
    call.body = body;
    std::string time = format_amz_date(std::time(nullptr));
    headers.emplace_back("Host", "127.0.0.1:1");
    AwsRequest request{method, path, "", headers, digest_hex("sha256", body)};
    call.headers =
        aws_signed_headers(request, {key.id, key.secret, ""}, {time.substr(0, 8), "eu-west-1", "ebs"}, time);
    return endpoint_->handle(call, Stop());
  }
  HttpReply put(const std::string& id, int64_t number, const std::string& block,
                const std::string& checksum) {
    return send("PUT", "/snapshots/" + id + "/blocks/" + std::to_string(number), block,
                {{"x-amz-data-length", std::to_string(block.size())},
                 {"x-amz-checksum", checksum},
                 {"x-amz-checksum-algorithm", "SHA256"}});
  }
  HttpReply complete(const std::string& id, const char* count) {
    return send("POST", "/snapshots/completion/" + id, "", {{"x-amz-changedblockscount", count}});
  }
  std::string start() {
    HttpReply reply =
        send("POST", "/snapshots", R"({"VolumeSize":1,"Description":"d","Tags":[{"Key":"a","Value":"b"}]})");
    EXPECT_EQ(reply.status, 201) << reply.body;
    return nlohmann::json::parse(reply.body).at("SnapshotId");
  }
  std::string header(const HttpReply& reply, const std::string& name) {
    for (const auto& [key, value] : reply.headers) {
      if (key == name) return value;
    }
    return "";
  }
};

TEST_F(DirectUploadTest, BlocksBecomeASnapshot) {
  std::string id = start();
  std::string block(direct_block_size, 'x');
  EXPECT_EQ(put(id, 1, block, aws_checksum_sha256(block)).status, 201);
  EXPECT_EQ(put(id, 1, block, aws_checksum_sha256(block)).status, 201) << "sent again, after a lost answer";
  HttpReply wrong = complete(id, "2");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(header(wrong, "x-amzn-ErrorType"), "ValidationException");
  EXPECT_EQ(one("DescribeSnapshots", "Filter.1.Name=status&Filter.1.Value.1=pending",
                "snapshotSet/item/snapshotId"),
            id);
  EXPECT_EQ(complete(id, "1").status, 202);
  EXPECT_EQ(one("DescribeSnapshots", "SnapshotId.1=" + id, "snapshotSet/item/status"), "completed");
  EXPECT_EQ(one("DescribeSnapshots", "SnapshotId.1=" + id, "snapshotSet/item/tagSet/item/value"), "b");
  std::string raw = (directory_.path() / "raw").string();
  run_checked({.argv = {"qemu-img", "convert", "-O", "raw",
                        snapshot_file(endpoint_->state(), id + ".qcow2").string(), raw}},
              Deadline::in(std::chrono::minutes(1)), Stop());
  EXPECT_EQ(fs::file_size(raw), uint64_t{1} << 30);
  std::ifstream in(raw);
  std::string read(2 * direct_block_size, '?');
  in.read(read.data(), static_cast<std::streamsize>(read.size()));
  EXPECT_EQ(read, std::string(direct_block_size, '\0') + block);
  EXPECT_FALSE(fs::exists(upload_file(endpoint_->state(), id)));
  EXPECT_THAT(journal_->all(), IsEmpty());
}

TEST_F(DirectUploadTest, WhatIsWrongIsSaid) {
  std::string id = start();
  std::string block(direct_block_size, 'x');
  EXPECT_EQ(put(id, 1, block, "x").status, 400) << "checksum";
  EXPECT_EQ(put(id, 1, "short", aws_checksum_sha256("short")).status, 400);
  EXPECT_EQ(put(id, 2048, block, aws_checksum_sha256(block)).status, 400) << "behind the end";
  EXPECT_EQ(put("snap-0123456789abcdef0", 1, block, aws_checksum_sha256(block)).status, 404);
  EXPECT_EQ(put("../x", 1, block, aws_checksum_sha256(block)).status, 404);
  EXPECT_EQ(send("POST", "/snapshots", R"({"VolumeSize":0})").status, 400);
  EXPECT_EQ(send("POST", "/snapshots", R"({"VolumeSize":"1"})").status, 400);
  EXPECT_EQ(send("POST", "/snapshots", R"({"VolumeSize":1,"Tags":[1]})").status, 400);
  EXPECT_EQ(send("POST", "/snapshots", "x").status, 400);
  EXPECT_EQ(send("DELETE", "/snapshots", "").status, 404);
  // Deleted while it is written: its file goes, and the journal's entry with the next one.
  call("DeleteSnapshot", "SnapshotId=" + id);
  EXPECT_FALSE(fs::exists(upload_file(endpoint_->state(), id)));
  EXPECT_EQ(put(id, 1, block, aws_checksum_sha256(block)).status, 404);
  std::string next = start();
  EXPECT_EQ(journal_->all().size(), 1u);
  // The endpoint dies while one is written.
  reopen();
  endpoint_->machines().adopt();
  EXPECT_EQ(one("DescribeSnapshots", "SnapshotId.1=" + next, "snapshotSet/item/status"), "error");
  EXPECT_FALSE(fs::exists(upload_file(endpoint_->state(), next)));
}

}  // namespace
}  // namespace kiln::ec2
