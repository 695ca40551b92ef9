#!/usr/bin/env python3
"""Every action of the endpoint, called by boto3; every answer held against botocore's model of it: no element that the
model does not know, every value of its type. Then the same by awscli, and what bad signatures come to. No instance runs.
Usage: clients.py KILN"""
import base64
import datetime
import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET

from local_ec2 import local_ec2

import botocore.exceptions

checked = set()
unknown = set()
# What EC2 has answered since Debian 12's model was written.
NEWER = {"DeleteKeyPair/keyPairId", "DeleteSecurityGroup/groupId",
         *(f"DescribeImages/imagesSet/item/{name}" for name in ("sourceImageId", "sourceImageRegion", "sourceInstanceId")),
         *(f"{place}instancesSet/item/currentInstanceBootMode" for place in ("DescribeInstances/reservationSet/item/", "RunInstances/"))}


def bare(tag):
    return tag.split("}")[-1]


def hold_against(element, shape, path):
    """The element against the shape of botocore's model."""
    if shape.type_name == "structure":
        members = {m.serialization.get("name", name): m for name, m in shape.members.items()}
        for child in element:
            name = bare(child.tag)
            if name not in members:
                unknown.add(f"{path}/{name}")
                continue
            hold_against(child, members[name], f"{path}/{name}")
    elif shape.type_name == "list":
        wanted = shape.member.serialization.get("name", "member")
        for child in element:
            assert bare(child.tag) == wanted, f"{path}: an item is {child.tag}, not {wanted}"
            hold_against(child, shape.member, f"{path}/{wanted}")
    elif shape.type_name in ("integer", "long"):
        int(element.text)
    elif shape.type_name in ("double", "float"):
        float(element.text)
    elif shape.type_name == "boolean":
        assert element.text in ("true", "false"), f"{path}: {element.text}"
    elif shape.type_name == "timestamp":
        datetime.datetime.fromisoformat(element.text.replace("Z", "+00:00"))
    else:
        assert len(element) == 0, f"{path}: {shape.type_name} with elements in it"


def check_answer(http_response, model, **_):
    if http_response.status_code >= 300:
        return
    root = ET.fromstring(http_response.content)
    shape = model.output_shape
    assert bare(root.tag) == model.name + "Response", root.tag
    children = [child for child in root if bare(child.tag) not in ("requestId", "ResponseMetadata")]
    if shape is not None and "resultWrapper" in shape.serialization:
        (children,) = [child for child in children if bare(child.tag) == shape.serialization["resultWrapper"]]
    holder = ET.Element("answer")
    # "return" says that all is well where the model has no answer at all.
    holder.extend(child for child in children if not (bare(child.tag) == "return" and child.text == "true"))
    if shape is None:
        unknown.update(f"{model.name}/{bare(child.tag)}" for child in holder)
    else:
        hold_against(holder, shape, model.name)
    checked.add(model.name)


def watched(site, service, region="us-east-1"):
    client = site.client(service, region)
    client.meta.events.register(f"after-call.{service}", check_answer)
    return client


def refused(code, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except botocore.exceptions.ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"{got}, not {code}: {error}"
        assert error.response["ResponseMetadata"]["RequestId"]
        return
    raise AssertionError(f"{code} was expected")


def network(ec2):
    assert "eu-west-1" in [r["RegionName"] for r in ec2.describe_regions()["Regions"]]
    assert len(ec2.describe_availability_zones()["AvailabilityZones"]) == 3
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    assert len(subnets) == 3
    assert ec2.describe_subnets(SubnetIds=[subnets[0]["SubnetId"]])["Subnets"] == subnets[:1]
    (kind,) = ec2.describe_instance_types(InstanceTypes=["t3.small"])["InstanceTypes"]
    assert kind["MemoryInfo"]["SizeInMiB"] == 2048 and kind["BurstablePerformanceSupported"]
    assert ec2.describe_instance_types(MaxResults=5)["NextToken"]
    offers = ec2.describe_instance_type_offerings(LocationType="availability-zone",
                                                  Filters=[{"Name": "instance-type", "Values": ["t2.micro"]}])
    assert len(offers["InstanceTypeOfferings"]) == 3
    ec2.describe_account_attributes()
    ec2.describe_internet_gateways()
    ec2.describe_route_tables()
    ec2.describe_network_acls()
    for attribute in ("enableDnsSupport", "enableDnsHostnames", "enableNetworkAddressUsageMetrics"):
        ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=attribute)
    ec2.describe_spot_price_history()
    refused("InvalidVpcID.NotFound", ec2.describe_vpcs, VpcIds=["vpc-1"])


def keys_and_groups(ec2):
    pair = ec2.create_key_pair(KeyName="k", TagSpecifications=[{"ResourceType": "key-pair", "Tags": [{"Key": "a", "Value": "b"}]}])
    assert "PRIVATE KEY" in pair["KeyMaterial"]
    refused("InvalidKeyPair.Duplicate", ec2.create_key_pair, KeyName="k")
    refused("DryRunOperation", ec2.create_key_pair, KeyName="z", DryRun=True)
    public = ec2.describe_key_pairs(KeyNames=["k"], IncludePublicKey=True)["KeyPairs"][0]["PublicKey"]
    ec2.import_key_pair(KeyName="i", PublicKeyMaterial=public.encode())
    ec2.delete_key_pair(KeyName="i")
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "all"}]}
    rules = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])["SecurityGroupRules"]
    assert rules[0]["CidrIpv4"] == "0.0.0.0/0"
    one = {"SecurityGroupRuleIds": [rules[0]["SecurityGroupRuleId"]]}
    ec2.create_tags(Resources=one["SecurityGroupRuleIds"], Tags=[{"Key": "of", "Value": "rule"}])
    ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=[
        {"SecurityGroupRuleId": rules[0]["SecurityGroupRuleId"],
         "SecurityGroupRule": {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 23, "CidrIpv4": "10.0.0.0/8", "Description": "some"}}])
    (rule,) = ec2.describe_security_group_rules(**one)["SecurityGroupRules"]
    assert (rule["ToPort"], rule["CidrIpv4"], rule["Description"]) == (23, "10.0.0.0/8", "some") and rule["Tags"], rule
    assert ec2.describe_tags(Filters=[{"Name": "resource-type", "Values": ["security-group-rule"]}])["Tags"]
    ec2.revoke_security_group_ingress(GroupId=group, **one)
    refused("InvalidSecurityGroupRuleId.NotFound", ec2.describe_security_group_rules, **one)
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}])
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[permission])
    (seen,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["g"]}])["SecurityGroups"]
    assert len(seen["IpPermissions"]) == 2, seen
    assert ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[permission])
    return group


def images(ec2, other_region, image):
    (seen,) = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["ba?e*"]}])["Images"]
    assert seen["ImageId"] == image and seen["State"] == "available" and seen["RootDeviceType"] == "ebs"
    snapshot = seen["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert ec2.describe_snapshots(OwnerIds=["self"], SnapshotIds=[snapshot])["Snapshots"][0]["State"] == "completed"
    ec2.create_tags(Resources=[image, snapshot], Tags=[{"Key": "env", "Value": "<test> & \"more\""}])
    assert ec2.describe_images(Filters=[{"Name": "tag:env", "Values": ["*test*"]}])["Images"][0]["Tags"][0]["Value"] == "<test> & \"more\""
    assert len(ec2.describe_tags(Filters=[{"Name": "key", "Values": ["env"]}])["Tags"]) == 2
    ec2.delete_tags(Resources=[image], Tags=[{"Key": "env"}])
    ec2.modify_image_attribute(ImageId=image, Description={"Value": "words"})
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    for attribute in ("launchPermission", "description", "bootMode", "productCodes", "blockDeviceMapping"):
        ec2.describe_image_attribute(ImageId=image, Attribute=attribute)
    ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    ec2.enable_image_deprecation(ImageId=image, DeprecateAt=datetime.datetime(2030, 1, 1))
    ec2.disable_image_deprecation(ImageId=image)
    copy = other_region.copy_image(Name="copied", SourceImageId=image, SourceRegion="us-east-1", Encrypted=True)["ImageId"]
    other_region.get_waiter("image_available").wait(ImageIds=[copy])
    assert other_region.describe_images(ImageIds=[copy])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["Encrypted"]
    refused("InvalidAMIID.NotFound", ec2.describe_images, ImageIds=[copy])
    other_region.deregister_image(ImageId=copy)
    registered = ec2.register_image(Name="registered", RootDeviceName="/dev/xvda", Architecture="x86_64", VirtualizationType="hvm",
                                    BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}])["ImageId"]
    refused("InvalidSnapshot.InUse", ec2.delete_snapshot, SnapshotId=snapshot)
    ec2.deregister_image(ImageId=registered)
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Add": [{"UserId": "111122223333"}]})
    ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    second = ec2.copy_snapshot(SourceSnapshotId=snapshot, SourceRegion="us-east-1")["SnapshotId"]
    ec2.delete_snapshot(SnapshotId=second)
    return snapshot


def volumes(ec2, snapshot):
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot, VolumeType="gp3")["VolumeId"]
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume])
    (seen,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert seen["Iops"] == 3000, seen
    ec2.describe_volume_status(VolumeIds=[volume])
    made = ec2.create_snapshot(VolumeId=volume, Description="d")["SnapshotId"]
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[made])
    refused("InvalidParameterValue", ec2.modify_volume, VolumeId=volume, Size=0)
    assert ec2.modify_volume(VolumeId=volume, Size=2)["VolumeModification"]["TargetSize"] == 2
    ec2.describe_volumes_modifications(VolumeIds=[volume])
    ec2.delete_volume(VolumeId=volume)
    ec2.delete_snapshot(SnapshotId=made)
    refused("InvalidVolume.NotFound", ec2.delete_volume, VolumeId=volume)


def instances(ec2, image, group):
    """Of a machine that does not boot: what is said of it is the same."""
    launch = dict(ImageId=image, InstanceType="t2.nano", KeyName="k", SecurityGroupIds=[group], MinCount=1, MaxCount=1,
                  UserData="#!/bin/sh\ntrue\n", ClientToken="token-1",
                  TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "one"}]},
                                     {"ResourceType": "volume", "Tags": [{"Key": "v", "Value": "w"}]},
                                     {"ResourceType": "network-interface", "Tags": [{"Key": "n", "Value": "i"}]}],
                  MetadataOptions={"HttpTokens": "required"}, BlockDeviceMappings=[{"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1}}])
    one = ec2.run_instances(**launch)["Instances"][0]["InstanceId"]
    assert ec2.run_instances(**launch)["Instances"][0]["InstanceId"] == one
    ec2.get_waiter("instance_running").wait(InstanceIds=[one])
    (health,) = ec2.describe_instance_status(InstanceIds=[one])["InstanceStatuses"]
    assert health["SystemStatus"]["Status"] == "ok" and health["InstanceStatus"]["Status"] == "initializing", "nothing boots on it"
    assert base64.b64decode(ec2.get_console_screenshot(InstanceId=one)["ImageData"]).startswith(b"\x89PNG")
    (seen,) = ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["o*"]}])["Reservations"][0]["Instances"]
    assert seen["PublicIpAddress"].startswith("127.31.") and seen["NetworkInterfaces"][0]["Attachment"]["DeviceIndex"] == 0
    assert len(seen["BlockDeviceMappings"]) == 2
    by_group = [{"Name": "group-id", "Values": [group]}]
    (interface,) = ec2.describe_network_interfaces(Filters=by_group)["NetworkInterfaces"]
    assert interface["Attachment"]["InstanceId"] == one and interface["TagSet"] == [{"Key": "n", "Value": "i"}], interface
    assert ec2.describe_network_interfaces(NetworkInterfaceIds=[interface["NetworkInterfaceId"]])["NetworkInterfaces"] == [interface]
    refused("InvalidNetworkInterfaceID.NotFound", ec2.describe_network_interfaces, NetworkInterfaceIds=["eni-0123456789abcdef0"])
    for attribute in ("instanceType", "userData", "disableApiStop", "disableApiTermination", "instanceInitiatedShutdownBehavior",
                      "groupSet", "blockDeviceMapping", "rootDeviceName", "enaSupport", "sourceDestCheck", "ebsOptimized"):
        ec2.describe_instance_attribute(InstanceId=one, Attribute=attribute)
    assert base64.b64decode(ec2.describe_instance_attribute(InstanceId=one, Attribute="userData")["UserData"]["Value"]).startswith(b"#!")
    ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": True})
    refused("OperationNotPermitted", ec2.terminate_instances, InstanceIds=[one])
    ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": False})
    refused("IncorrectInstanceState", ec2.modify_instance_attribute, InstanceId=one, EnaSupport={"Value": True})
    ec2.modify_instance_metadata_options(InstanceId=one, HttpTokens="optional")
    ec2.describe_instance_credit_specifications(InstanceIds=[one])
    ec2.modify_instance_credit_specification(InstanceCreditSpecifications=[{"InstanceId": one, "CpuCredits": "unlimited"}])
    ec2.monitor_instances(InstanceIds=[one])
    ec2.unmonitor_instances(InstanceIds=[one])
    ec2.get_console_output(InstanceId=one)
    ec2.get_password_data(InstanceId=one)
    ec2.reboot_instances(InstanceIds=[one])
    refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
    extra = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    ec2.get_waiter("volume_available").wait(VolumeIds=[extra])
    ec2.stop_instances(InstanceIds=[one], Force=True)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[one])
    ec2.modify_private_dns_name_options(InstanceId=one, PrivateDnsHostnameType="resource-name", EnableResourceNameDnsARecord=True)
    ec2.modify_instance_maintenance_options(InstanceId=one, AutoRecovery="disabled")
    ec2.modify_instance_capacity_reservation_attributes(
        InstanceId=one, CapacityReservationSpecification={"CapacityReservationPreference": "none"})
    (seen,) = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"]
    assert seen["PrivateDnsNameOptions"]["HostnameType"] == "resource-name" and seen["MaintenanceOptions"]["AutoRecovery"] == "disabled"
    assert seen["CapacityReservationSpecification"]["CapacityReservationPreference"] == "none", seen
    ec2.attach_volume(InstanceId=one, VolumeId=extra, Device="/dev/sdf")
    refused("VolumeInUse", ec2.delete_volume, VolumeId=extra)
    ec2.detach_volume(VolumeId=extra)
    ec2.modify_instance_attribute(InstanceId=one, InstanceType={"Value": "t2.micro"})
    ec2.start_instances(InstanceIds=[one])
    ec2.get_waiter("instance_running").wait(InstanceIds=[one])
    made = ec2.create_image(InstanceId=one, Name="made", NoReboot=True)
    ec2.get_waiter("image_available").wait(ImageIds=[made["ImageId"]])
    ec2.deregister_image(ImageId=made["ImageId"])
    address = ec2.allocate_address(Domain="vpc")
    association = ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=one)["AssociationId"]
    ec2.describe_addresses()
    ec2.disassociate_address(AssociationId=association)
    ec2.release_address(AllocationId=address["AllocationId"])
    ec2.terminate_instances(InstanceIds=[one])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[one])
    assert not ec2.describe_volumes(Filters=[{"Name": "tag:v", "Values": ["w"]}])["Volumes"]
    ec2.delete_volume(VolumeId=extra)
    refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=["i-0123456789abcdef0"])
    refused("InvalidInstanceID.Malformed", ec2.describe_instances, InstanceIds=["../../etc/passwd"])
    refused("InvalidAMIID.NotFound", ec2.run_instances, **{**launch, "ImageId": "ami-0123456789abcdef9", "ClientToken": "token-2"})


def spot(ec2, image, group):
    ec2.create_launch_template(LaunchTemplateName="tpl", LaunchTemplateData={"ImageId": image, "InstanceType": "t2.nano",
                                                                           "SecurityGroupIds": [group]})
    ec2.describe_launch_templates(LaunchTemplateNames=["tpl"])
    fleet = ec2.create_fleet(Type="instant", TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
                             LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {"LaunchTemplateName": "tpl", "Version": "1"},
                                                     "Overrides": [{"InstanceType": "t2.micro"}]}])
    (one,) = fleet["Instances"][0]["InstanceIds"]
    (seen,) = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"]
    assert seen["InstanceLifecycle"] == "spot" and seen["InstanceType"] == "t2.micro"
    refused("UnsupportedOperation", ec2.stop_instances, InstanceIds=[one])
    ec2.terminate_instances(InstanceIds=[one])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[one])
    ec2.delete_launch_template(LaunchTemplateName="tpl")


def fast_launch(ec2, image, windows):
    template = ec2.create_launch_template(LaunchTemplateName="fast", LaunchTemplateData={"InstanceType": "t2.micro"})
    refused("UnsupportedOperation", ec2.enable_fast_launch, ImageId=image)
    refused("InvalidParameterValue", ec2.enable_fast_launch, ImageId=windows, MaxParallelLaunches=5)
    refused("InvalidLaunchTemplateName.NotFoundException", ec2.enable_fast_launch, ImageId=windows,
            LaunchTemplate={"LaunchTemplateName": "nosuch", "Version": "1"})
    refused("UnsupportedOperation", ec2.disable_fast_launch, ImageId=windows)
    begun = ec2.enable_fast_launch(ImageId=windows, MaxParallelLaunches=8, SnapshotConfiguration={"TargetResourceCount": 2},
                                   LaunchTemplate={"LaunchTemplateName": "fast", "Version": "$Default"})
    assert begun["State"] == "enabling" and begun["LaunchTemplate"]["LaunchTemplateId"] == template["LaunchTemplate"]["LaunchTemplateId"]
    (one,) = ec2.describe_fast_launch_images(Filters=[{"Name": "state", "Values": ["enabled"]}])["FastLaunchImages"]
    assert (one["ImageId"], one["MaxParallelLaunches"], one["SnapshotConfiguration"]) == (windows, 8, {"TargetResourceCount": 2}), one
    (seen,) = ec2.describe_images(Filters=[{"Name": "platform", "Values": ["windows"]}])["Images"]
    assert (seen["Platform"], seen["PlatformDetails"]) == ("windows", "Windows"), seen
    assert ec2.disable_fast_launch(ImageId=windows)["State"] == "disabling"
    assert not ec2.describe_fast_launch_images(ImageIds=[windows])["FastLaunchImages"]
    ec2.delete_launch_template(LaunchTemplateName="fast")
    ec2.deregister_image(ImageId=windows)


def identity(site):
    sts, iam = watched(site, "sts"), watched(site, "iam")
    assert sts.get_caller_identity()["Account"] == "123456789012"
    role = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="session")["Credentials"]
    other = site.client("sts", aws_access_key_id=role["AccessKeyId"], aws_secret_access_key=role["SecretAccessKey"],
                        aws_session_token=role["SessionToken"])
    assert other.get_caller_identity()["Arn"].endswith("assumed-role/r/session")
    sts.get_session_token()
    sts.decode_authorization_message(EncodedMessage="message")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}", Tags=[{"Key": "a", "Value": "b"}], Description="d")
    iam.update_role(RoleName="r", Description="e", MaxSessionDuration=7200)
    iam.update_assume_role_policy(RoleName="r", PolicyDocument='{"a": 1}')
    iam.tag_role(RoleName="r", Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_role(RoleName="r", TagKeys=["a"])
    role = iam.get_role(RoleName="r")["Role"]
    assert role["Tags"] == iam.list_role_tags(RoleName="r")["Tags"] == [{"Key": "c", "Value": "d"}], role
    assert (role["Description"], role["MaxSessionDuration"], role["AssumeRolePolicyDocument"]) == ("e", 7200, {"a": 1}), role
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument="{}")
    assert iam.get_role_policy(RoleName="r", PolicyName="p")["PolicyDocument"] == {}
    refused("NoSuchEntity", iam.get_role_policy, RoleName="r", PolicyName="q")
    iam.list_role_policies(RoleName="r")
    iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.list_attached_role_policies(RoleName="r")
    iam.create_instance_profile(InstanceProfileName="p", Tags=[{"Key": "a", "Value": "b"}])
    iam.tag_instance_profile(InstanceProfileName="p", Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_instance_profile(InstanceProfileName="p", TagKeys=["a"])
    assert iam.list_instance_profile_tags(InstanceProfileName="p")["Tags"] == [{"Key": "c", "Value": "d"}]
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    iam.get_instance_profile(InstanceProfileName="p")
    iam.list_instance_profiles_for_role(RoleName="r")
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="r")
    iam.delete_instance_profile(InstanceProfileName="p")
    iam.detach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.delete_role_policy(RoleName="r", PolicyName="p")
    iam.delete_role(RoleName="r")
    iam.get_user()
    iam.list_account_aliases()
    refused("NoSuchEntity", iam.get_role, RoleName="r")


def parameters_and_secrets(site):
    """What templates read at build time; two services that speak JSON."""
    ssm, secrets = site.client("ssm"), site.client("secretsmanager")
    refused("ParameterNotFound", ssm.get_parameter, Name="/a/b")
    assert ssm.put_parameter(Name="/a/b", Value="ü \"1\"", Type="SecureString")["Version"] == 1
    refused("ParameterAlreadyExists", ssm.put_parameter, Name="/a/b", Value="2", Type="String")
    assert ssm.get_parameter(Name="/a/b", WithDecryption=True)["Parameter"]["Value"] == "ü \"1\""
    assert ssm.put_parameter(Name="/a/b", Value="2", Type="String", Overwrite=True)["Version"] == 2
    both = ssm.get_parameters(Names=["/a/b", "/none"])
    assert both["Parameters"][0]["Value"] == "2" and both["InvalidParameters"] == ["/none"]
    refused("ParameterNotFound", site.client("ssm", "eu-west-1").get_parameter, Name="/a/b")
    ssm.delete_parameter(Name="/a/b")
    arn = secrets.create_secret(Name="s", SecretString='{"user": "u"}')["ARN"]
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == '{"user": "u"}'
    secrets.put_secret_value(SecretId="s", SecretBinary=b"\x00\x01")
    assert secrets.get_secret_value(SecretId="s")["SecretBinary"] == b"\x00\x01"
    secrets.delete_secret(SecretId="s", ForceDeleteWithoutRecovery=True)
    refused("ResourceNotFoundException", secrets.get_secret_value, SecretId="s")
    refused("UnknownOperationException", ssm.describe_parameters)


def direct_snapshots(site, ec2):
    """EBS' direct APIs: a snapshot that boto3 writes block by block, and a volume of it."""
    ebs = site.client("ebs")
    block = b"block" + bytes(524288 - 5)
    checksum = base64.b64encode(hashlib.sha256(block).digest()).decode()
    begun = ebs.start_snapshot(VolumeSize=1, Description="direct", Tags=[{"Key": "a", "Value": "b"}])
    assert begun["Status"] == "pending" and begun["BlockSize"] == 524288, begun
    snapshot = begun["SnapshotId"]
    refused("ResourceNotFoundException", ebs.put_snapshot_block, SnapshotId="snap-0123456789abcdef0", BlockIndex=0, BlockData=block,
            DataLength=len(block), Checksum=checksum, ChecksumAlgorithm="SHA256")
    put = ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=7, BlockData=block, DataLength=len(block), Checksum=checksum,
                                 ChecksumAlgorithm="SHA256")
    assert put["Checksum"] == checksum, put
    refused("ValidationException", ebs.complete_snapshot, SnapshotId=snapshot, ChangedBlocksCount=2)
    assert ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)["Status"] == "pending"
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot])
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot)["VolumeId"]
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume])
    ec2.delete_volume(VolumeId=volume)
    ec2.delete_snapshot(SnapshotId=snapshot)


def signatures(site):
    refused("AuthFailure", site.client(aws_secret_access_key="guessed").describe_regions)
    refused("AuthFailure", site.client(aws_access_key_id="AKIANOBODY").describe_regions)
    request = urllib.request.Request(site.url, data=b"Action=DescribeRegions&Version=2016-11-15")
    try:
        urllib.request.urlopen(request)
        raise AssertionError("an unsigned request was answered")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and b"MissingAuthenticationToken" in error.read()


def awscli(site):
    if not os.path.exists("/usr/bin/aws"):
        print("skipped: awscli is not installed (Debian: awscli)")
        return
    def aws(*words):
        done = subprocess.run(["/usr/bin/aws", "--endpoint-url", site.url, "--output", "text", *words], env=dict(site.env, AWS_PAGER=""),
                              stdout=subprocess.PIPE, text=True, timeout=120, check=True)
        return done.stdout.strip()
    assert aws("sts", "get-caller-identity", "--query", "Account") == "123456789012"
    assert aws("ec2", "describe-images", "--owners", "self", "--query", "Images[].Name") == "base image"
    material = aws("ec2", "create-key-pair", "--key-name", "cli", "--key-type", "ed25519", "--query", "KeyMaterial")
    assert material.startswith("-----BEGIN")
    assert aws("ec2", "describe-snapshots", "--owner-ids", "self", "--query", "length(Snapshots)").isdigit()
    aws("ec2", "delete-key-pair", "--key-name", "cli")


def for_one_build(site):
    """`build -local-ec2`: the environment of the build is that of a client; the endpoint is there for it, and gone after."""
    ask = ("import boto3, os; ec2 = boto3.client('ec2', endpoint_url=os.environ['AWS_ENDPOINT_URL']); "
           "print('regions:', len(ec2.describe_regions()['Regions']))")
    inline = ["echo at {{user `url`}}", f'{sys.executable} -c "{ask}"', "echo $AWS_SECRET_ACCESS_KEY"]
    (site.directory / "t.json").write_text(json.dumps({
        "variables": {"url": "{{env `AWS_ENDPOINT_URL`}}"}, "builders": [{"type": "null", "communicator": "none"}],
        "provisioners": [{"type": "shell-local", "inline": inline}]}))
    for name in list(site.env):
        if name.startswith("AWS_") and name != "AWS_EC2_METADATA_DISABLED":
            site.env.pop(name)
    said = site.kiln("build", "-color=false", "-local-ec2", str(site.directory / "t.json"))
    assert "regions: 21" in said and "at http://127.0.0.1:" in said, said
    assert "<sensitive>" in said, said
    site.kiln("ec2", "status", exits=1)


def main():
    with local_ec2(sys.argv[1]) as site:
        disk = site.directory / "disk.raw"
        with open(disk, "wb") as file:
            file.truncate(64 << 20)
        image = site.kiln("ec2", "import", str(disk), "-name=base image", "-region=us-east-1").strip()
        assert image.startswith("ami-"), image
        windows = site.kiln("ec2", "import", str(disk), "-name=windows", "-region=us-east-1", "-platform=windows").strip()
        text = site.up("-accelerator=tcg", "-region=us-east-1")
        assert site.up() == text, "a second `up` says the same"
        ec2 = watched(site, "ec2")
        network(ec2)
        group = keys_and_groups(ec2)
        snapshot = images(ec2, watched(site, "ec2", "eu-west-1"), image)
        volumes(ec2, snapshot)
        instances(ec2, image, group)
        spot(ec2, image, group)
        fast_launch(ec2, image, windows)
        identity(site)
        parameters_and_secrets(site)
        direct_snapshots(site, ec2)
        signatures(site)
        awscli(site)
        ec2.delete_security_group(GroupId=group)
        ec2.delete_key_pair(KeyName="k")
        ec2.deregister_image(ImageId=image)
        ec2.delete_snapshot(SnapshotId=snapshot)
        # The registered copies' snapshots are the user's to delete.
        snapshots = [s["SnapshotId"] for s in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]]
        for one in snapshots:
            ec2.delete_snapshot(SnapshotId=one)
        for one in site.client(region="eu-west-1").describe_snapshots(OwnerIds=["self"])["Snapshots"]:
            site.client(region="eu-west-1").delete_snapshot(SnapshotId=one["SnapshotId"])
        leftover = list((site.directory / "state/ec2").glob("*/*.qcow2"))
        assert not leftover, leftover
        site.kiln("ec2", "status")
        site.kiln("ec2", "down")
        site.kiln("ec2", "status", exits=1)
        for_one_build(site)
        assert not site.processes(), site.processes()
    assert unknown <= NEWER, f"botocore's model does not know {sorted(unknown - NEWER)}"
    print(f"{len(checked)} actions answered as botocore's model says")


main()
