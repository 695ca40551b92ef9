// A good request for every action of the endpoint, for tests that spoil them (hostile_test.cc).
#pragma once
#include <map>
#include <regex>
#include <string>

#include "base/text.h"
#include "endpoint/network.h"
#include "wire/aws_signature.h"

namespace kiln::ec2 {

inline constexpr const char* region = "eu-west-1";

/// A good request, with every parameter that its action reads. $NAME is one of names(), $tag(TYPE) a tag for that
/// type of resource.
struct Request {
  const char* action;
  const char* form;
};
inline constexpr Request requests[] = {
    // AMIs
    {"DescribeImages", "ImageId.1=$ami&Owner.1=self&$filter&$page"},
    {"CreateImage",
     "InstanceId=$stopped&Name=new&Description=d&NoReboot=true&$tag(image)&BlockDeviceMapping.1.DeviceName=/dev/sdf&"
     "BlockDeviceMapping.1.Ebs.VolumeSize=9&BlockDeviceMapping.1.Ebs.VolumeType=gp3&BlockDeviceMapping.1.Ebs.Iops=3000&"
     "BlockDeviceMapping.1.Ebs.Throughput=125&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true&"
     "BlockDeviceMapping.2.DeviceName=/dev/sdg&BlockDeviceMapping.2.NoDevice=&"
     "BlockDeviceMapping.3.DeviceName=/dev/sdh&BlockDeviceMapping.3.Ebs.SnapshotId=$snap&"
     "BlockDeviceMapping.4.DeviceName=/dev/sdi&BlockDeviceMapping.4.VirtualName=ephemeral0"},
    {"RegisterImage",
     "Name=new&Description=d&Architecture=x86_64&RootDeviceName=/dev/"
     "xvda&BootMode=uefi&ImdsSupport=v2.0&EnaSupport=true&"
     "SriovNetSupport=simple&$tag(image)&BlockDeviceMapping.1.DeviceName=/dev/"
     "xvda&BlockDeviceMapping.1.Ebs.SnapshotId=$snap&"
     "BlockDeviceMapping.1.Ebs.VolumeSize=9&BlockDeviceMapping.1.Ebs.KmsKeyId=k&BlockDeviceMapping.1.Ebs.Encrypted="
     "true"},
    {"CopyImage",
     "SourceImageId=$ami&SourceRegion=eu-west-1&Name=new&Description=d&Encrypted=true&KmsKeyId=k&CopyImageTags=true&$"
     "tag(image)"},
    {"DeregisterImage", "ImageId=$ami&DeleteAssociatedSnapshots=true"},
    {"ModifyImageAttribute",
     "ImageId=$ami&Attribute=description&Value=v&OperationType=add&UserId.1=1&UserGroup.1=all&OrganizationArn.1=o&"
     "OrganizationalUnitArn.1=u&LaunchPermission.Add.1.UserId=1&LaunchPermission.Add.2.Group=all&"
     "LaunchPermission.Remove.1.UserId=2&Description.Value=d&ImdsSupport.Value=v2.0&ProductCode.1=p"},
    {"ResetImageAttribute", "ImageId=$ami&Attribute=launchPermission"},
    {"DescribeImageAttribute", "ImageId=$ami&Attribute=description"},
    {"EnableImageDeprecation", "ImageId=$ami&DeprecateAt=2030-01-01T00:00:00.000Z"},
    {"DisableImageDeprecation", "ImageId=$ami"},
    {"EnableImageDeregistrationProtection", "ImageId=$ami&WithCooldown=true"},
    {"DisableImageDeregistrationProtection", "ImageId=$ami"},
    {"EnableFastLaunch",
     "ImageId=$ami&ResourceType=snapshot&MaxParallelLaunches=6&SnapshotConfiguration.TargetResourceCount=5&"
     "LaunchTemplate.LaunchTemplateId=$lt&LaunchTemplate.Version=1"},
    {"EnableFastLaunch", "ImageId=$ami&LaunchTemplate.LaunchTemplateName=template"},
    {"DisableFastLaunch", "ImageId=$ami&Force=true"},
    {"DescribeFastLaunchImages", "ImageId.1=$ami&Filter.1.Name=state&Filter.1.Value.1=enabled&$page"},
    // Instances
    {"RunInstances",
     "ImageId=$ami&InstanceType=t2.nano&MinCount=1&MaxCount=2&KeyName=key&ClientToken=t&UserData=aGk%3D&"
     "SecurityGroupId.1=$sg&SecurityGroup.1=group&SubnetId=$subnet&Placement.AvailabilityZone=eu-west-1a&"
     "Placement.Tenancy=default&IamInstanceProfile.Name=profile&IamInstanceProfile.Arn=a/profile&"
     "InstanceInitiatedShutdownBehavior=stop&DisableApiTermination=true&DisableApiStop=true&EbsOptimized=true&"
     "Monitoring.Enabled=true&InstanceMarketOptions.MarketType=spot&CreditSpecification.CpuCredits=standard"},
    {"RunInstances",
     "ImageId=$ami&MetadataOptions.HttpTokens=required&MetadataOptions.HttpEndpoint=enabled&MetadataOptions."
     "InstanceMetadataTags=enabled&"
     "MetadataOptions.HttpPutResponseHopLimit=1&PrivateDnsNameOptions.HostnameType=ip-name&"
     "PrivateDnsNameOptions.EnableResourceNameDnsARecord=true&PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord="
     "true&"
     "MaintenanceOptions.AutoRecovery=default&CapacityReservationSpecification.CapacityReservationPreference=open&"
     "LaunchTemplate.LaunchTemplateId=$lt"},
    {"RunInstances",
     "ImageId=$ami&LaunchTemplate.LaunchTemplateName=template&$tag(instance)&"
     "BlockDeviceMapping.1.DeviceName=/dev/"
     "xvda&BlockDeviceMapping.1.Ebs.VolumeSize=9&BlockDeviceMapping.1.Ebs.Iops=100&"
     "BlockDeviceMapping.2.DeviceName=/dev/sdb&BlockDeviceMapping.2.Ebs.SnapshotId=$snap&"
     "BlockDeviceMapping.2.Ebs.VolumeType=gp3&BlockDeviceMapping.2.Ebs.Throughput=125&BlockDeviceMapping.2.Ebs."
     "KmsKeyId=k"},
    {"RunInstances", "ImageId=$ami&NetworkInterface.1.SubnetId=$subnet&NetworkInterface.1.SecurityGroupId.1=$sg"},
    {"DescribeInstances", "InstanceId.1=$stopped&$filter&$page"},
    {"DescribeInstanceStatus", "InstanceId.1=$stopped&IncludeAllInstances=true&$filter&$page"},
    {"StopInstances", "InstanceId.1=$running&Force=true"},
    {"StartInstances", "InstanceId.1=$stopped"},
    {"RebootInstances", "InstanceId.1=$running"},
    {"TerminateInstances", "InstanceId.1=$running&InstanceId.2=$stopped"},
    {"GetConsoleOutput", "InstanceId=$stopped"},
    {"GetConsoleScreenshot", "InstanceId=$running"},
    {"GetPasswordData", "InstanceId=$stopped"},
    {"MonitorInstances", "InstanceId.1=$running"},
    {"UnmonitorInstances", "InstanceId.1=$running"},
    {"ModifyInstanceAttribute",
     "InstanceId=$stopped&InstanceType.Value=t2.micro&UserData.Value=aGk%3D&DisableApiTermination.Value=true&"
     "DisableApiStop.Value=true&InstanceInitiatedShutdownBehavior.Value=stop&SourceDestCheck.Value=true&"
     "EbsOptimized=true&EnaSupport.Value=true&SriovNetSupport.Value=simple&GroupId.1=$sg&Attribute=kernel&Value=v&"
     "BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1.Ebs.DeleteOnTermination=false"},
    {"DescribeInstanceAttribute", "InstanceId=$stopped&Attribute=userData"},
    {"ModifyInstanceMetadataOptions",
     "InstanceId=$running&HttpTokens=required&HttpEndpoint=enabled&InstanceMetadataTags=enabled&"
     "HttpPutResponseHopLimit=2"},
    {"ModifyPrivateDnsNameOptions",
     "InstanceId=$stopped&PrivateDnsHostnameType=ip-name&EnableResourceNameDnsARecord=true&"
     "EnableResourceNameDnsAAAARecord=true"},
    {"ModifyInstanceMaintenanceOptions", "InstanceId=$stopped&AutoRecovery=default"},
    {"ModifyInstanceCapacityReservationAttributes",
     "InstanceId=$stopped&CapacityReservationSpecification.CapacityReservationPreference=open"},
    {"DescribeInstanceCreditSpecifications", "InstanceId.1=$stopped"},
    {"ModifyInstanceCreditSpecification",
     "InstanceCreditSpecification.1.InstanceId=$stopped&InstanceCreditSpecification.1.CpuCredits=standard"},
    {"DescribeNetworkInterfaces", "NetworkInterfaceId.1=$eni&$filter&$page"},
    // Volumes, snapshots, addresses
    {"CreateVolume",
     "AvailabilityZone=eu-west-1a&Size=9&SnapshotId=$snap&VolumeType=gp3&Iops=3000&Throughput=125&Encrypted=true&"
     "KmsKeyId=k&"
     "$tag(volume)"},
    {"DescribeVolumes", "VolumeId.1=$vol&$filter&$page"},
    {"DescribeVolumeStatus", "VolumeId.1=$vol&$filter&$page"},
    {"AttachVolume", "VolumeId=$vol&InstanceId=$stopped&Device=/dev/sdz"},
    {"DetachVolume", "VolumeId=$root&InstanceId=$stopped"},
    {"DeleteVolume", "VolumeId=$vol"},
    {"ModifyVolume", "VolumeId=$vol&Size=10&VolumeType=gp3&Iops=3000&Throughput=125"},
    {"DescribeVolumesModifications", "VolumeId.1=$vol&$page"},
    {"AllocateAddress", "$tag(elastic-ip)"},
    {"DescribeAddresses", "AllocationId.1=$address&$filter"},
    {"AssociateAddress", "AllocationId=$address&InstanceId=$stopped"},
    {"DisassociateAddress", "AssociationId=eipassoc-1"},
    {"ReleaseAddress", "AllocationId=$address"},
    {"CreateSnapshot", "VolumeId=$vol&Description=d&$tag(snapshot)"},
    {"CopySnapshot",
     "SourceSnapshotId=$snap&SourceRegion=eu-west-1&Description=d&Encrypted=true&KmsKeyId=k&$tag(snapshot)"},
    {"DescribeSnapshots", "SnapshotId.1=$snap&Owner.1=self&$filter&$page"},
    {"DeleteSnapshot", "SnapshotId=$free"},
    {"ModifySnapshotAttribute",
     "SnapshotId=$snap&OperationType=add&UserId.1=1&UserGroup.1=all&CreateVolumePermission.Add.1.UserId=1&"
     "CreateVolumePermission.Add.2.Group=all&CreateVolumePermission.Remove.1.UserId=1&"
     "CreateVolumePermission.Remove.2.Group=all"},
    {"DescribeSnapshotAttribute", "SnapshotId=$snap&Attribute=createVolumePermission"},
    // Keys, groups, the network
    {"CreateKeyPair", "KeyName=new&KeyType=ed25519&KeyFormat=pem&$tag(key-pair)"},
    {"ImportKeyPair", "KeyName=new&PublicKeyMaterial=$material&$tag(key-pair)"},
    {"DescribeKeyPairs", "KeyPairId.1=$key&KeyName.1=key&IncludePublicKey=true&$filter"},
    {"DeleteKeyPair", "KeyName=key&KeyPairId=$key"},
    {"CreateSecurityGroup", "GroupName=new&GroupDescription=d&VpcId=$vpc&$tag(security-group)"},
    {"DescribeSecurityGroups", "GroupId.1=$sg&GroupName.1=group&$filter&$page"},
    {"DescribeSecurityGroupRules", "SecurityGroupRuleId.1=$rule&$filter&$page"},
    {"ModifySecurityGroupRules",
     "GroupId=$sg&SecurityGroupRule.1.SecurityGroupRuleId=$rule&SecurityGroupRule.1.SecurityGroupRule.IpProtocol=tcp&"
     "SecurityGroupRule.1.SecurityGroupRule.FromPort=1&SecurityGroupRule.1.SecurityGroupRule.ToPort=2&"
     "SecurityGroupRule.1.SecurityGroupRule.CidrIpv4=10.0.0.0/8&SecurityGroupRule.1.SecurityGroupRule.Description=d"},
    {"DeleteSecurityGroup", "GroupId=$unused&GroupName=unused"},
    {"AuthorizeSecurityGroupIngress",
     "GroupId=$sg&GroupName=group&$tag(security-group-rule)&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=1&"
     "IpPermissions.1.ToPort=2&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8&IpPermissions.1.IpRanges.1.Description=d&"
     "IpPermissions.1.Ipv6Ranges.1.CidrIpv6=fc00::/7&IpPermissions.1.PrefixListIds.1.PrefixListId=pl-1&"
     "IpPermissions.1.Groups.1.GroupId=$unused&IpPermissions.1.Groups.2.GroupName=group&SourceSecurityGroupName="
     "unused"},
    {"AuthorizeSecurityGroupIngress", "GroupName=group&IpProtocol=tcp&FromPort=5&ToPort=6&CidrIp=10.0.0.0/8"},
    {"AuthorizeSecurityGroupEgress",
     "GroupId=$sg&IpPermissions.1.IpProtocol=udp&IpPermissions.1.FromPort=1&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/"
     "8"},
    {"RevokeSecurityGroupIngress", "GroupId=$sg&SecurityGroupRuleId.1=$rule"},
    {"RevokeSecurityGroupEgress", "GroupId=$sg&IpProtocol=tcp&FromPort=5&ToPort=6&CidrIp=10.0.0.0/8"},
    {"DescribeRegions", "RegionName.1=eu-west-1&Filter.1.Name=endpoint&Filter.1.Value.1=*"},
    {"DescribeAvailabilityZones", "ZoneName.1=eu-west-1a&Filter.1.Name=state&Filter.1.Value.1=*"},
    {"DescribeVpcs", "VpcId.1=$vpc&$filter"},
    {"DescribeVpcAttribute", "VpcId=$vpc&Attribute=enableDnsSupport"},
    {"DescribeSubnets", "SubnetId.1=$subnet&$filter"},
    {"DescribeInstanceTypes", "InstanceType.1=t2.nano&Filter.1.Name=bare-metal&Filter.1.Value.1=*&$page"},
    {"DescribeInstanceTypeOfferings", "LocationType=region&Filter.1.Name=location&Filter.1.Value.1=*&$page"},
    {"DescribeAccountAttributes", "AttributeName.1=default-vpc"},
    {"DescribeInternetGateways", "$filter"},
    {"DescribeNetworkAcls", "$filter"},
    {"DescribeRouteTables", "$filter"},
    {"DescribeSpotPriceHistory", "$filter"},
    // Tags, templates
    {"CreateTags", "ResourceId.1=$ami&ResourceId.2=$running&Tag.1.Key=k&Tag.1.Value=v"},
    {"DeleteTags", "ResourceId.1=$ami&Tag.1.Key=k&Tag.1.Value=v"},
    {"DescribeTags", "Filter.1.Name=resource-id&Filter.1.Value.1=*&$page"},
    {"CreateLaunchTemplate", "LaunchTemplateName=new&LaunchTemplateData.ImageId=$ami&$tag(launch-template)"},
    {"DescribeLaunchTemplates", "LaunchTemplateId.1=$lt&LaunchTemplateName.1=template&$filter&$page"},
    {"DeleteLaunchTemplate", "LaunchTemplateId=$lt&LaunchTemplateName=template"},
    {"CreateFleet",
     "Type=instant&TargetCapacitySpecification.TotalTargetCapacity=1&$tag(instance)&"
     "TargetCapacitySpecification.DefaultTargetCapacityType=spot&"
     "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId=$lt&"
     "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName=template&"
     "LaunchTemplateConfigs.1.Overrides.1.InstanceType=t2.nano&LaunchTemplateConfigs.1.Overrides.1.SubnetId=$subnet&"
     "LaunchTemplateConfigs.1.Overrides.1.ImageId=$ami&LaunchTemplateConfigs.1.Overrides.1.AvailabilityZone=eu-west-"
     "1a"},
    // STS, IAM
    {"GetCallerIdentity", ""},
    {"AssumeRole", "RoleArn=arn:aws:iam::1:role/r&RoleSessionName=session&DurationSeconds=900"},
    {"GetSessionToken", "DurationSeconds=900"},
    {"DecodeAuthorizationMessage", "EncodedMessage=m"},
    {"CreateRole",
     "RoleName=new&AssumeRolePolicyDocument={}&Path=/p/&Description=d&MaxSessionDuration=3600&Tags.member.1.Key=k&"
     "Tags.member.1.Value=v"},
    {"GetRole", "RoleName=role"},
    {"UpdateRole", "RoleName=role&Description=d&MaxSessionDuration=3600"},
    {"UpdateAssumeRolePolicy", "RoleName=role&PolicyDocument={}"},
    {"TagRole", "RoleName=role&Tags.member.1.Key=k&Tags.member.1.Value=v"},
    {"UntagRole", "RoleName=role&TagKeys.member.1=k"},
    {"ListRoleTags", "RoleName=role"},
    {"DeleteRole", "RoleName=free"},
    {"PutRolePolicy", "RoleName=role&PolicyName=p&PolicyDocument={}"},
    {"GetRolePolicy", "RoleName=role&PolicyName=policy"},
    {"DeleteRolePolicy", "RoleName=role&PolicyName=policy"},
    {"ListRolePolicies", "RoleName=role"},
    {"AttachRolePolicy", "RoleName=role&PolicyArn=arn:p"},
    {"DetachRolePolicy", "RoleName=role&PolicyArn=arn:attached"},
    {"ListAttachedRolePolicies", "RoleName=role"},
    {"CreateInstanceProfile", "InstanceProfileName=new&Path=/p/&Tags.member.1.Key=k&Tags.member.1.Value=v"},
    {"GetInstanceProfile", "InstanceProfileName=profile"},
    {"TagInstanceProfile", "InstanceProfileName=profile&Tags.member.1.Key=k&Tags.member.1.Value=v"},
    {"UntagInstanceProfile", "InstanceProfileName=profile&TagKeys.member.1=k"},
    {"ListInstanceProfileTags", "InstanceProfileName=profile"},
    {"DeleteInstanceProfile", "InstanceProfileName=free"},
    {"AddRoleToInstanceProfile", "InstanceProfileName=free&RoleName=role"},
    {"RemoveRoleFromInstanceProfile", "InstanceProfileName=profile&RoleName=role"},
    {"ListInstanceProfilesForRole", "RoleName=role"},
    {"GetUser", ""},
    {"ListAccountAliases", ""},
};

/// What the fixture of HostileTest has.
inline const std::map<std::string, std::string>& names() {
  static const std::map<std::string, std::string> all = {
      {"filter", "Filter.1.Name=tag-key&Filter.1.Value.1=*"},
      {"page", "MaxResults=5&NextToken=page-0"},
      {"ami", "ami-0000000000000000a"},
      {"snap", "snap-0000000000000000a"},
      {"free", "snap-0000000000000000b"},
      {"vol", "vol-0000000000000000a"},
      {"root", "vol-0000000000000000b"},
      {"stopped", "i-0000000000000000a"},
      {"running", "i-0000000000000000b"},
      {"eni", "eni-0000000000000000a"},
      {"address", "eipalloc-0000000000000000a"},
      {"key", "key-0000000000000000a"},
      {"sg", "sg-0000000000000000a"},
      {"unused", "sg-0000000000000000b"},
      {"rule", "sgr-0000000000000000a"},
      {"lt", "lt-0000000000000000a"},
      {"vpc", default_vpc(region)},
      {"subnet", subnets_of(region)[0].id},
      {"material", aws_uri_encode(base64_encode("ssh-ed25519 " + base64_encode(std::string(51, 'k')) + " name"))}};
  return all;
}

inline std::string filled(std::string form) {
  std::smatch match;
  static const std::regex tag("\\$tag\\(([a-z-]+)\\)");
  while (std::regex_search(form, match, tag)) {
    std::string of = match[1];
    form = match.prefix().str() + "TagSpecification.1.ResourceType=" + of +
           "&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v" + match.suffix().str();
  }
  static const std::regex name("\\$([a-z]+)");
  while (std::regex_search(form, match, name)) {
    form = match.prefix().str() + names().at(match[1]) + match.suffix().str();
  }
  return form;
}

}  // namespace kiln::ec2
