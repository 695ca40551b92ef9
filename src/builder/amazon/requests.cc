#include "builder/amazon/requests.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "core/aws_orphans.h"

namespace kiln::amazon {

namespace {

const char* word(bool yes) { return yes ? "true" : "false"; }

void set(AwsParameters& parameters, const std::string& name, const std::string& value) {
  if (!value.empty()) parameters[name] = value;
}

/// Network interface, or subnet and groups by themselves.
void add_network(AwsParameters& p, const RunConfig& config, const InstanceValues& values, const std::string& prefix) {
  set(p, prefix + "Placement.AvailabilityZone", values.network.availability_zone);
  bool interface = config.associate_public_ip_address.has_value() && !values.network.subnet_id.empty();
  if (!interface) {
    if (prefix.empty()) set(p, "SubnetId", values.network.subnet_id);
    for (size_t i = 0; i < values.security_group_ids.size(); ++i) {
      p[fmt::format("{}SecurityGroupId.{}", prefix, i + 1)] = values.security_group_ids[i];
    }
  }
  if (interface || (!prefix.empty() && !values.network.subnet_id.empty())) {
    std::string nic = prefix + "NetworkInterface.1.";
    p[nic + "DeleteOnTermination"] = "true";
    p[nic + "DeviceIndex"] = "0";
    p[nic + "SubnetId"] = values.network.subnet_id;
    if (interface) p[nic + "AssociatePublicIpAddress"] = word(*config.associate_public_ip_address);
    for (size_t i = 0; i < values.security_group_ids.size(); ++i) {
      p.erase(fmt::format("{}SecurityGroupId.{}", prefix, i + 1));
      p[fmt::format("{}SecurityGroupId.{}", nic, i + 1)] = values.security_group_ids[i];
    }
  }
}

void add_placement(AwsParameters& p, const RunConfig& config, const std::string& prefix) {
  set(p, prefix + "Placement.HostId", config.placement.host_id);
  set(p, prefix + "Placement.HostResourceGroupArn", config.placement.host_resource_group_arn);
  set(p, prefix + "Placement.Tenancy", config.tenancy.empty() ? config.placement.tenancy : config.tenancy);
  const std::string reservation = prefix + "CapacityReservationSpecification.";
  set(p, reservation + "CapacityReservationPreference", config.capacity_reservation_preference);
  set(p, reservation + "CapacityReservationTarget.CapacityReservationId", config.capacity_reservation_id);
  set(p, reservation + "CapacityReservationTarget.CapacityReservationResourceGroupArn",
      config.capacity_reservation_group_arn);
  for (size_t i = 0; i < config.license_specifications.size(); ++i) {
    set(p, fmt::format("{}LicenseSpecification.{}.LicenseConfigurationArn", prefix, i + 1),
        config.license_specifications[i].license_configuration_request.license_configuration_arn);
  }
}

void add_metadata(AwsParameters& p, const MetadataOptions& options, const std::string& prefix) {
  const std::string name = prefix + "MetadataOptions.";
  bool any = !options.http_endpoint.empty() || !options.http_tokens.empty() ||
             options.http_put_response_hop_limit != 0 || !options.instance_metadata_tags.empty();
  if (!any) return;
  p[name + "HttpEndpoint"] = options.http_endpoint.empty() ? "enabled" : options.http_endpoint;
  p[name + "HttpTokens"] = options.http_tokens.empty() ? "optional" : options.http_tokens;
  p[name + "HttpPutResponseHopLimit"] = fmt::format("{}", std::max(options.http_put_response_hop_limit, 1));
  set(p, name + "InstanceMetadataTags", options.instance_metadata_tags);
}

/// What an instance and a launch template have in common.
void add_common(AwsParameters& p, const RunConfig& config, const InstanceValues& values, const std::string& prefix) {
  p[prefix + "ImageId"] = values.state_ami.empty() ? values.source_ami : values.state_ami;
  p[prefix + "EbsOptimized"] = word(config.ebs_optimized);
  set(p, prefix + "InstanceType", values.instance_type);
  set(p, prefix + "KeyName", values.key_name);
  set(p, prefix + "IamInstanceProfile.Name", values.instance_profile);
  set(p, prefix + "UserData", values.user_data);
  add_network(p, config, values, prefix);
  add_placement(p, config, prefix);
  add_metadata(p, config.metadata_options, prefix);
  if (config.enable_nitro_enclave) p[prefix + "EnclaveOptions.Enabled"] = "true";
  if (config.enable_unlimited_credits) p[prefix + "CreditSpecification.CpuCredits"] = "unlimited";
  add_block_devices(p, config.launch_block_device_mappings, prefix + "BlockDeviceMapping");
  if (values.no_ephemeral) {
    int number = static_cast<int>(config.launch_block_device_mappings.size());
    for (char letter = 'a'; letter <= 'z'; ++letter) {
      std::string name = fmt::format("{}BlockDeviceMapping.{}.", prefix, ++number);
      p[name + "DeviceName"] = fmt::format("xvdc{}", letter);
      p[name + "NoDevice"] = "";
    }
  }
}

void add_permissions(std::vector<std::pair<std::string, AwsParameters>>& requests, const AwsParameters& base,
                     const std::string& what, const std::vector<std::string>& values, const std::string& permission,
                     const std::string& member, const std::string& old_list) {
  if (values.empty()) return;
  AwsParameters p = base;
  for (size_t i = 0; i < values.size(); ++i) {
    p[fmt::format("{}.Add.{}.{}", permission, i + 1, member)] = values[i];
    if (!old_list.empty()) p[fmt::format("{}.{}", old_list, i + 1)] = values[i];
  }
  requests.emplace_back(what, std::move(p));
}

Tags with_run_tag(Tags tags, const std::string& value, const std::string& owner = {}) {
  if (!value.empty()) tags[aws_run_tag] = value;
  if (!owner.empty()) tags[aws_owner_tag] = owner;
  return tags;
}

Tags instance_tags(const InstanceValues& values) {
  return with_run_tag(values.run_tags, values.run_tag_value, values.owner_tag_value);
}

}  // namespace

void add_block_devices(AwsParameters& p, const std::vector<BlockDevice>& devices, const std::string& prefix,
                       int first) {
  for (const auto& device : devices) {
    std::string name = fmt::format("{}.{}.", prefix, first++);
    p[name + "DeviceName"] = device.device_name;
    if (device.no_device) {
      p[name + "NoDevice"] = "";
      continue;
    }
    if (!device.virtual_name.empty()) {
      p[name + "VirtualName"] = device.virtual_name;
      if (device.virtual_name.starts_with("ephemeral")) continue;
    }
    std::string ebs = name + "Ebs.";
    p[ebs + "DeleteOnTermination"] = word(device.delete_on_termination.value_or(false));
    if (device.encrypted) p[ebs + "Encrypted"] = word(*device.encrypted);
    if (device.encrypted.value_or(false)) set(p, ebs + "KmsKeyId", device.kms_key_id);
    if (device.iops) p[ebs + "Iops"] = fmt::format("{}", *device.iops);
    if (device.throughput) p[ebs + "Throughput"] = fmt::format("{}", *device.throughput);
    if (device.volume_size > 0) p[ebs + "VolumeSize"] = fmt::format("{}", device.volume_size);
    set(p, ebs + "VolumeType", device.volume_type);
    set(p, ebs + "SnapshotId", device.snapshot_id);
  }
}

void add_tags(AwsParameters& parameters, const Tags& tags, const std::string& prefix) {
  int number = 0;
  for (const auto& [key, value] : tags) {
    parameters[fmt::format("{}.{}.Key", prefix, ++number)] = key;
    parameters[fmt::format("{}.{}.Value", prefix, number)] = value;
  }
}

void add_tag_specification(AwsParameters& parameters, const std::string& prefix, const std::string& resource_type,
                           const Tags& tags) {
  if (tags.empty()) return;
  parameters[prefix + ".ResourceType"] = resource_type;
  add_tags(parameters, tags, prefix + ".Tag");
}

AwsParameters run_instances_parameters(const RunConfig& config, const InstanceValues& values) {
  AwsParameters p;
  add_common(p, config, values, "");
  p["MinCount"] = p["MaxCount"] = "1";
  set(p, "ClientToken", values.client_token);
  set(p, "InstanceInitiatedShutdownBehavior", config.shutdown_behavior);
  add_tag_specification(p, "TagSpecification.1", "instance", instance_tags(values));
  add_tag_specification(p, "TagSpecification.2", "volume", with_run_tag(values.volume_tags, values.volume_tag_value));
  return p;
}

AwsParameters launch_template_parameters(const RunConfig& config, const InstanceValues& values,
                                         const std::string& name) {
  AwsParameters p;
  const std::string data = "LaunchTemplateData.";
  add_common(p, config, values, data);
  p["LaunchTemplateName"] = name;
  p["VersionDescription"] = "template generated by packer for launching spot instances";
  p[data + "DisableApiTermination"] = "false";
  p[data + "InstanceMarketOptions.MarketType"] = "spot";
  const std::string spot = data + "InstanceMarketOptions.SpotOptions.";
  if (config.spot_price != "auto") p[spot + "MaxPrice"] = config.spot_price;
  if (config.block_duration_minutes > 0)
    p[spot + "BlockDurationMinutes"] = fmt::format("{}", config.block_duration_minutes);
  add_tag_specification(p, data + "TagSpecification.1", "instance", instance_tags(values));
  Tags volume_tags = with_run_tag(values.volume_tags, values.volume_tag_value);
  add_tag_specification(p, data + "TagSpecification.2", "volume", volume_tags);
  if (!values.spot_tags.empty()) {
    std::string number = volume_tags.empty() ? "2" : "3";
    add_tag_specification(p, data + "TagSpecification." + number, "spot-instances-request", values.spot_tags);
    add_tag_specification(p, "TagSpecification.1", "launch-template", values.spot_tags);
  }
  return p;
}

AwsParameters fleet_parameters(const RunConfig& config, const InstanceValues& values,
                               const std::string& template_name) {
  AwsParameters p;
  const std::string launch = "LaunchTemplateConfigs.1.";
  p["Type"] = "instant";
  p["ReplaceUnhealthyInstances"] = "false";
  p["TargetCapacitySpecification.TotalTargetCapacity"] = "1";
  p["TargetCapacitySpecification.DefaultTargetCapacityType"] = "spot";
  p[launch + "LaunchTemplateSpecification.LaunchTemplateName"] = template_name;
  p[launch + "LaunchTemplateSpecification.Version"] = "1";
  for (size_t i = 0; i < config.spot_instance_types.size(); ++i) {
    p[fmt::format("{}Overrides.{}.InstanceType", launch, i + 1)] = config.spot_instance_types[i];
  }
  set(p, "SpotOptions.AllocationStrategy", config.spot_allocation_strategy);
  add_tag_specification(p, "TagSpecification.1", "fleet", values.fleet_tags);
  return p;
}

AwsParameters ingress_parameters(const RunConfig& config, const std::string& group_id) {
  std::string port = fmt::format("{}", config.comm.port());
  AwsParameters p{{"GroupId", group_id},
                  {"IpPermissions.1.FromPort", port},
                  {"IpPermissions.1.ToPort", port},
                  {"IpPermissions.1.IpProtocol", "tcp"}};
  int plain = 0;
  int six = 0;
  for (const auto& cidr : config.temporary_security_group_source_cidrs) {
    if (contains(cidr, ":")) {
      p[fmt::format("IpPermissions.1.Ipv6Ranges.{}.CidrIpv6", ++six)] = cidr;
    } else {
      p[fmt::format("IpPermissions.1.IpRanges.{}.CidrIp", ++plain)] = cidr;
    }
  }
  return p;
}

AwsParameters create_image_parameters(const std::vector<BlockDevice>& devices, const ImageValues& values) {
  AwsParameters p{{"InstanceId", values.instance_id}, {"Name", values.name}};
  add_block_devices(p, devices, "BlockDeviceMapping");
  add_tag_specification(p, "TagSpecification.1", "image", values.tags);
  add_tag_specification(p, "TagSpecification.2", "snapshot", values.tags);
  return p;
}

std::vector<ImageCopy> plan_copies(const AmiConfig& config, const std::string& build_region) {
  std::vector<ImageCopy> copies;
  if (config.encrypt_boot && !config.skip_save_build_region)
    copies.push_back({build_region, config.kms_key_id, config.encrypt_boot});
  for (const auto& region : config.ami_regions) {
    if (region == build_region) continue;
    auto key = config.region_kms_key_ids.find(region);
    std::string id = key == config.region_kms_key_ids.end() ? "" : key->second;
    copies.push_back({region, id, config.encrypt_boot});
  }
  return copies;
}

bool image_is_temporary(const AmiConfig& config, const std::string& build_region) {
  return config.encrypt_boot.has_value() ||
         (config.skip_save_build_region && !plan_copies(config, build_region).empty());
}

AwsParameters copy_image_parameters(const AmiConfig& config, const ImageCopy& copy, const std::string& source_ami,
                                    const std::string& source_region, const Tags& tags) {
  AwsParameters p{{"Name", config.ami_name}, {"SourceImageId", source_ami}, {"SourceRegion", source_region}};
  if (copy.encrypt) p["Encrypted"] = word(*copy.encrypt);
  if (copy.encrypt.value_or(false)) set(p, "KmsKeyId", copy.kms_key_id);
  if (config.snapshot_copy_duration_minutes) {
    p["SnapshotCopyCompletionDurationMinutes"] = fmt::format("{}", *config.snapshot_copy_duration_minutes);
  }
  add_tag_specification(p, "TagSpecification.1", "image", tags);
  add_tag_specification(p, "TagSpecification.2", "snapshot", tags);
  return p;
}

std::vector<std::pair<std::string, AwsParameters>> image_attribute_requests(const AmiConfig& config,
                                                                            const std::string& description,
                                                                            const std::string& image_id) {
  std::vector<std::pair<std::string, AwsParameters>> requests;
  const AwsParameters base{{"ImageId", image_id}};
  if (!description.empty())
    requests.emplace_back("description", AwsParameters{{"ImageId", image_id}, {"Description.Value", description}});
  add_permissions(requests, base, "groups", config.ami_groups, "LaunchPermission", "Group", "UserGroup");
  add_permissions(requests, base, "users", config.ami_users, "LaunchPermission", "UserId", "UserId");
  add_permissions(requests, base, "ami_org_arns", config.ami_org_arns, "LaunchPermission", "OrganizationArn", "");
  add_permissions(requests, base, "ami_ou_arns", config.ami_ou_arns, "LaunchPermission", "OrganizationalUnitArn", "");
  if (!config.ami_product_codes.empty()) {
    AwsParameters p = base;
    for (size_t i = 0; i < config.ami_product_codes.size(); ++i)
      p[fmt::format("ProductCode.{}", i + 1)] = config.ami_product_codes[i];
    requests.emplace_back("product codes", std::move(p));
  }
  if (!config.imds_support.empty()) {
    requests.emplace_back("imds_support",
                          AwsParameters{{"ImageId", image_id}, {"ImdsSupport.Value", config.imds_support}});
  }
  return requests;
}

std::vector<std::pair<std::string, AwsParameters>> snapshot_attribute_requests(const AmiConfig& config,
                                                                               const std::string& snapshot_id) {
  std::vector<std::pair<std::string, AwsParameters>> requests;
  const AwsParameters base{{"SnapshotId", snapshot_id}};
  add_permissions(requests, base, "groups", config.snapshot_groups, "CreateVolumePermission", "Group", "UserGroup");
  add_permissions(requests, base, "users", config.snapshot_users, "CreateVolumePermission", "UserId", "UserId");
  return requests;
}

bool wants_fast_launch(const FastLaunchConfig& config, const std::string& region) {
  for (const auto& own : config.region_launch_templates) {
    if (own.region == region) return own.enable_fast_launch.value_or(true);
  }
  return config.enable_fast_launch;
}

AwsParameters fast_launch_parameters(const FastLaunchConfig& config, const std::string& region,
                                     const std::string& image_id) {
  AwsParameters p{{"ImageId", image_id}, {"ResourceType", "snapshot"}};
  std::string id = config.template_id;
  std::string name = config.template_name;
  int version = config.template_version;
  for (const auto& own : config.region_launch_templates) {
    if (own.region == region) id = own.template_id, name = own.template_name, version = own.template_version;
  }
  if (!id.empty() || !name.empty()) {
    set(p, "LaunchTemplate.LaunchTemplateId", id);
    set(p, "LaunchTemplate.LaunchTemplateName", name);
    p["LaunchTemplate.Version"] = version > 0 ? fmt::format("{}", version) : "$Default";
  }
  if (config.max_parallel_launches > 0) p["MaxParallelLaunches"] = fmt::format("{}", config.max_parallel_launches);
  if (config.target_resource_count > 0)
    p["SnapshotConfiguration.TargetResourceCount"] = fmt::format("{}", config.target_resource_count);
  return p;
}

std::string encode_user_data(const std::string& text) {
  if (text.empty()) return "";
  try {
    if (text.size() % 4 == 0 && base64_encode(base64_decode(text)) == text) return text;
  } catch (const Error&) {
    // It is plain text.
  }
  return base64_encode(text);
}

}  // namespace kiln::amazon
