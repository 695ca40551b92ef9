#include "builder/amazon/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "builder/amazon/handing_on.h"
#include "builder/amazon/running.h"
#include "builder/amazon/session_manager.h"

namespace kiln::amazon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

std::vector<std::string> lines(const AwsParameters& parameters) {
  std::vector<std::string> out;
  for (const auto& [name, value] : parameters) out.push_back(name + "=" + value);
  return out;
}

TEST(AmazonRequests, BlockDevices) {
  BlockDevice root;
  root.device_name = "/dev/sda1";
  root.delete_on_termination = true;
  root.volume_size = 20;
  root.volume_type = "gp3";
  root.iops = 4000;
  root.throughput = 200;
  root.encrypted = true;
  root.kms_key_id = "alias/k";
  BlockDevice store;
  store.device_name = "/dev/sdb";
  store.virtual_name = "ephemeral0";
  BlockDevice none;
  none.device_name = "/dev/sdc";
  none.no_device = true;
  AwsParameters parameters;
  add_block_devices(parameters, {root, store, none}, "BlockDeviceMapping");
  EXPECT_THAT(
      lines(parameters),
      ElementsAre("BlockDeviceMapping.1.DeviceName=/dev/sda1", "BlockDeviceMapping.1.Ebs.DeleteOnTermination=true",
                  "BlockDeviceMapping.1.Ebs.Encrypted=true", "BlockDeviceMapping.1.Ebs.Iops=4000",
                  "BlockDeviceMapping.1.Ebs.KmsKeyId=alias/k", "BlockDeviceMapping.1.Ebs.Throughput=200",
                  "BlockDeviceMapping.1.Ebs.VolumeSize=20", "BlockDeviceMapping.1.Ebs.VolumeType=gp3",
                  "BlockDeviceMapping.2.DeviceName=/dev/sdb", "BlockDeviceMapping.2.VirtualName=ephemeral0",
                  "BlockDeviceMapping.3.DeviceName=/dev/sdc", "BlockDeviceMapping.3.NoDevice="));
}

TEST(AmazonRequests, AnInstanceWithEverything) {
  RunConfig config;
  config.associate_public_ip_address = true;
  config.ebs_optimized = true;
  config.enable_nitro_enclave = true;
  config.shutdown_behavior = "stop";
  config.metadata_options.http_tokens = "required";
  config.placement.host_id = "h-1";
  config.tenancy = "host";
  config.capacity_reservation_id = "cr-1";
  config.license_specifications = {{{"arn:l"}}};
  InstanceValues values{.source_ami = "ami-1",
                        .instance_type = "m5.large",
                        .network = {"vpc-1", "subnet-1", "eu-west-1a"},
                        .security_group_ids = {"sg-1", "sg-2"},
                        .key_name = "k",
                        .instance_profile = "p",
                        .user_data = "eA==",
                        .client_token = "t",
                        .run_tags = {{"Name", "x"}},
                        .run_tag_value = "RUN/TOKEN"};
  EXPECT_THAT(
      lines(run_instances_parameters(config, values)),
      ElementsAre("CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId=cr-1",
                  "ClientToken=t", "EbsOptimized=true", "EnclaveOptions.Enabled=true", "IamInstanceProfile.Name=p",
                  "ImageId=ami-1", "InstanceInitiatedShutdownBehavior=stop", "InstanceType=m5.large", "KeyName=k",
                  "LicenseSpecification.1.LicenseConfigurationArn=arn:l", "MaxCount=1",
                  "MetadataOptions.HttpEndpoint=enabled", "MetadataOptions.HttpPutResponseHopLimit=1",
                  "MetadataOptions.HttpTokens=required", "MinCount=1",
                  "NetworkInterface.1.AssociatePublicIpAddress=true", "NetworkInterface.1.DeleteOnTermination=true",
                  "NetworkInterface.1.DeviceIndex=0", "NetworkInterface.1.SecurityGroupId.1=sg-1",
                  "NetworkInterface.1.SecurityGroupId.2=sg-2", "NetworkInterface.1.SubnetId=subnet-1",
                  "Placement.AvailabilityZone=eu-west-1a", "Placement.HostId=h-1", "Placement.Tenancy=host",
                  "TagSpecification.1.ResourceType=instance", "TagSpecification.1.Tag.1.Key=Name",
                  "TagSpecification.1.Tag.1.Value=x", "TagSpecification.1.Tag.2.Key=kiln:run",
                  "TagSpecification.1.Tag.2.Value=RUN/TOKEN", "UserData=eA=="));
}

TEST(AmazonRequests, ASpotFleetIsToldItsSubnetByAnInterface) {
  RunConfig config;
  config.spot_price = "auto";
  InstanceValues values{.source_ami = "ami-1", .network = {"", "subnet-1", ""}, .security_group_ids = {"sg-1"}};
  AwsParameters p = launch_template_parameters(config, values, "n");
  EXPECT_EQ(p["LaunchTemplateData.NetworkInterface.1.SubnetId"], "subnet-1");
  EXPECT_EQ(p["LaunchTemplateData.NetworkInterface.1.SecurityGroupId.1"], "sg-1");
  EXPECT_FALSE(p.contains("LaunchTemplateData.SecurityGroupId.1"));
  EXPECT_FALSE(p.contains("LaunchTemplateData.InstanceMarketOptions.SpotOptions.MaxPrice"));
}

TEST(AmazonRequests, IngressOfBothFamilies) {
  RunConfig config;
  config.comm.communicator = "winrm";
  config.comm.winrm_port = 5986;
  config.temporary_security_group_source_cidrs = {"10.0.0.0/8", "::/0"};
  EXPECT_THAT(lines(ingress_parameters(config, "sg-1")),
              ElementsAre("GroupId=sg-1", "IpPermissions.1.FromPort=5986", "IpPermissions.1.IpProtocol=tcp",
                          "IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8", "IpPermissions.1.Ipv6Ranges.1.CidrIpv6=::/0",
                          "IpPermissions.1.ToPort=5986"));
}

TEST(AmazonCopies, ArePlannedUpFront) {
  AmiConfig config;
  EXPECT_THAT(plan_copies(config, "here"), IsEmpty());
  EXPECT_FALSE(image_is_temporary(config, "here"));
  config.ami_regions = {"here", "a", "b"};
  EXPECT_THAT(plan_copies(config, "here"), ElementsAre(ImageCopy{"a", "", {}}, ImageCopy{"b", "", {}}));
  EXPECT_FALSE(image_is_temporary(config, "here"));
  config.encrypt_boot = true;
  config.kms_key_id = "k";
  config.region_kms_key_ids = {{"b", "kb"}};
  EXPECT_THAT(plan_copies(config, "here"),
              ElementsAre(ImageCopy{"here", "k", true}, ImageCopy{"a", "", true}, ImageCopy{"b", "kb", true}));
  EXPECT_TRUE(image_is_temporary(config, "here"));
  config.skip_save_build_region = true;
  EXPECT_THAT(plan_copies(config, "here"), ElementsAre(ImageCopy{"a", "", true}, ImageCopy{"b", "kb", true}));
  config.encrypt_boot = false;
  AwsParameters p = copy_image_parameters(config, {"a", "k", false}, "ami-1", "here", {});
  EXPECT_EQ(p["Encrypted"], "false");
  EXPECT_FALSE(p.contains("KmsKeyId"));
}

TEST(AmazonAttributes, AreARequestAKind) {
  AmiConfig config;
  EXPECT_THAT(image_attribute_requests(config, "", "ami-1"), IsEmpty());
  config.ami_users = {"1", "2"};
  config.ami_ou_arns = {"arn:ou"};
  config.imds_support = "v2.0";
  auto requests = image_attribute_requests(config, "d", "ami-1");
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_EQ(requests[0].first, "description");
  EXPECT_THAT(lines(requests[1].second), ElementsAre("ImageId=ami-1", "LaunchPermission.Add.1.UserId=1",
                                                     "LaunchPermission.Add.2.UserId=2", "UserId.1=1", "UserId.2=2"));
  EXPECT_THAT(lines(requests[2].second),
              ElementsAre("ImageId=ami-1", "LaunchPermission.Add.1.OrganizationalUnitArn=arn:ou"));
  EXPECT_THAT(lines(requests[3].second), ElementsAre("ImageId=ami-1", "ImdsSupport.Value=v2.0"));
}

TEST(AmazonFastLaunch, ARegionMayDiffer) {
  FastLaunchConfig config;
  config.enable_fast_launch = true;
  config.template_name = "t";
  config.region_launch_templates = {{.region = "a", .enable_fast_launch = false},
                                    {.region = "b", .template_id = "lt-1", .template_version = 2}};
  EXPECT_TRUE(wants_fast_launch(config, "here"));
  EXPECT_FALSE(wants_fast_launch(config, "a"));
  EXPECT_THAT(lines(fast_launch_parameters(config, "here", "ami-1")),
              ElementsAre("ImageId=ami-1", "LaunchTemplate.LaunchTemplateName=t", "LaunchTemplate.Version=$Default",
                          "ResourceType=snapshot"));
  EXPECT_THAT(lines(fast_launch_parameters(config, "b", "ami-2")),
              ElementsAre("ImageId=ami-2", "LaunchTemplate.LaunchTemplateId=lt-1", "LaunchTemplate.Version=2",
                          "ResourceType=snapshot"));
}

TEST(AmazonUserData, IsEncodedOnce) {
  EXPECT_EQ(encode_user_data(""), "");
  EXPECT_EQ(encode_user_data("#!/bin/sh\n"), base64_encode("#!/bin/sh\n"));
  EXPECT_EQ(encode_user_data(base64_encode("#!/bin/sh\n")), base64_encode("#!/bin/sh\n"));
}

TEST(AmazonAddress, IsTheInterfacesOrThePublicOne) {
  AwsElement instance = parse_aws_xml(
      "<i><ipAddress>1.1.1.1</ipAddress><privateIpAddress>10.0.0.1</privateIpAddress><dnsName>pub</dnsName>"
      "<privateDnsName>priv</privateDnsName><vpcId>vpc-1</vpcId><networkInterfaceSet><item><ipv6AddressesSet><item>"
      "<ipv6Address>2001:db8::1</ipv6Address></item></ipv6AddressesSet></item></networkInterfaceSet></i>");
  RunConfig config;
  auto by = [&](const char* interface) {
    config.ssh_interface = interface;
    return choose_address(config, instance);
  };
  EXPECT_EQ(by(""), "1.1.1.1");
  EXPECT_EQ(by("private_ip"), "10.0.0.1");
  EXPECT_EQ(by("public_dns"), "pub");
  EXPECT_EQ(by("private_dns"), "priv");
  EXPECT_EQ(by("ipv6"), "2001:db8::1");
  EXPECT_EQ(choose_address(RunConfig(), parse_aws_xml("<i><dnsName>pub</dnsName></i>")), "pub");
  EXPECT_EQ(choose_address(RunConfig(), parse_aws_xml("<i><dnsName>pub</dnsName><vpcId>v</vpcId></i>")), "")
      << "wait for its address";
}

TEST(AmazonNames, AreCleaned) { EXPECT_EQ(clean_ami_name("a:b {c}/d"), "a-b -c-/d"); }

TEST(AmazonArtifact, IsPackers) {
  Artifact artifact = image_artifact("mitchellh.amazonebs", {{"us-west-2", "ami-2"}, {"eu-west-1", "ami-1"}}, {});
  EXPECT_EQ(artifact.id, "eu-west-1:ami-1,us-west-2:ami-2");
  EXPECT_EQ(artifact.description, "AMIs were created:\neu-west-1: ami-1\nus-west-2: ami-2\n");
  EXPECT_EQ(to_json(artifact.state),
            R"({"atlas.artifact.metadata":{"region.eu-west-1":"ami-1","region.us-west-2":"ami-2"}})");
  EXPECT_THAT(parse_image_artifact_id(artifact.id),
              UnorderedElementsAre(Pair("eu-west-1", "ami-1"), Pair("us-west-2", "ami-2")));
}

TEST(AmazonSessionManager, WhichProgramsTakeTheTokenByTheirEnvironment) {
  EXPECT_TRUE(plugin_reads_environment("1.2.553.0\n"));
  EXPECT_TRUE(plugin_reads_environment("1.2.497.0"));
  EXPECT_FALSE(plugin_reads_environment("1.2.463.0"));
  EXPECT_FALSE(plugin_reads_environment(""));
}

TEST(AmazonHandingOn, IsWhatOthersCanSee) {
  AmiConfig ami;
  ami.ami_name = "n";
  EXPECT_TRUE(handing_on_of(ami).is_null());
  ami.ami_product_codes = {"p"};
  ami.skip_save_build_region = true;
  ami.ami_regions = {"eu-west-1"};
  ami.ami_users = {"1"};
  ami.ami_groups = {"all"};
  ami.snapshot_users = {"2"};
  ami.snapshot_groups = {"all"};
  ami.ami_org_arns = {"o"};
  ami.ami_ou_arns = {"ou"};
  EXPECT_FALSE(handing_on_of(ami).is_null());
  AmiConfig own = without_handing_on(ami);
  EXPECT_TRUE(handing_on_of(own).is_null());
  EXPECT_EQ(own.ami_name, "n");
  EXPECT_THAT(own.ami_product_codes, ElementsAre("p"));
  EXPECT_FALSE(image_is_temporary(own, "us-east-1")) << "it is what is tested";
  EXPECT_THAT(snapshot_attribute_requests(own, "snap-1"), IsEmpty());
}

TEST(AmazonInputs, AnotherSourceIsAnotherImage) {
  EXPECT_EQ(inputs_tag_value("key", "ami-1"), inputs_tag_value("key", "ami-1"));
  EXPECT_NE(inputs_tag_value("key", "ami-1"), inputs_tag_value("key", "ami-2"));
  EXPECT_NE(inputs_tag_value("key", "ami-1"), inputs_tag_value("other", "ami-1"));
  EXPECT_EQ(inputs_tag_value("key", "ami-1").size(), 64u) << "a tag has 256 at most";
}

}  // namespace
}  // namespace kiln::amazon
