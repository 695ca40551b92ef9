// What is asked of EC2, computed from options and from what is known so far. Pure.
#pragma once
#include <string>
#include <vector>

#include "builder/amazon/config.h"

namespace kiln::amazon {

/// Where an instance is to be.
struct Network {
  std::string vpc_id;
  std::string subnet_id;
  std::string availability_zone;
};

/// What of an instance the steps before have found or made.
struct InstanceValues {
  std::string source_ami;
  std::string state_ami;      ///< started instead of it: what a build kept that had begun with it (states.h)
  std::string instance_type;  ///< empty for a spot fleet, which has its own list
  Network network;
  std::vector<std::string> security_group_ids;
  std::string key_name;
  std::string instance_profile;
  std::string user_data;  ///< base64
  std::string client_token;
  Tags run_tags;  ///< rendered, like all tags here
  Tags volume_tags;
  Tags spot_tags;
  Tags fleet_tags;
  std::string run_tag_value;     ///< of the tag by which gc finds the instance
  std::string owner_tag_value;   ///< of the tag by which gc knows whose it is
  std::string volume_tag_value;  ///< likewise its volumes; empty: they go with it
  bool no_ephemeral = false;
};

AwsParameters run_instances_parameters(const RunConfig& config, const InstanceValues& values);
AwsParameters launch_template_parameters(const RunConfig& config, const InstanceValues& values,
                                         const std::string& name);
AwsParameters fleet_parameters(const RunConfig& config, const InstanceValues& values, const std::string& template_name);

/// Who may come in: the ingress rule of the temporary security group.
AwsParameters ingress_parameters(const RunConfig& config, const std::string& group_id);

/// "PREFIX.N.DeviceName", "PREFIX.N.Ebs...." from number `first` on.
void add_block_devices(AwsParameters& parameters, const std::vector<BlockDevice>& devices, const std::string& prefix,
                       int first = 1);
/// "PREFIX.ResourceType", "PREFIX.Tag.N.Key", ...; nothing without tags.
void add_tag_specification(AwsParameters& parameters, const std::string& prefix, const std::string& resource_type,
                           const Tags& tags);
/// "Tag.1.Key", ...
void add_tags(AwsParameters& parameters, const Tags& tags, const std::string& prefix = "Tag");

struct ImageValues {
  std::string name;
  std::string instance_id;
  Tags tags;  ///< of the AMI and its snapshots from the start
};
AwsParameters create_image_parameters(const std::vector<BlockDevice>& devices, const ImageValues& values);

/// One copy of the AMI.
struct ImageCopy {
  std::string region;
  std::string kms_key_id;
  std::optional<bool> encrypt;
  bool operator==(const ImageCopy&) const = default;
};
/// Which copies there are to be: of every region of ami_regions, and of the build's own when it is to be encrypted.
std::vector<ImageCopy> plan_copies(const AmiConfig& config, const std::string& build_region);
/// Whether the AMI that is made of the instance is only there to be copied.
bool image_is_temporary(const AmiConfig& config, const std::string& build_region);
AwsParameters copy_image_parameters(const AmiConfig& config, const ImageCopy& copy, const std::string& source_ami,
                                    const std::string& source_region, const Tags& tags);

/// One request for each kind of attribute: what is said of it ("users"), and its parameters.
std::vector<std::pair<std::string, AwsParameters>> image_attribute_requests(const AmiConfig& config,
                                                                            const std::string& description,
                                                                            const std::string& image_id);
std::vector<std::pair<std::string, AwsParameters>> snapshot_attribute_requests(const AmiConfig& config,
                                                                               const std::string& snapshot_id);

AwsParameters fast_launch_parameters(const FastLaunchConfig& config, const std::string& region,
                                     const std::string& image_id);
/// Whether a region's image is to have fast launch.
bool wants_fast_launch(const FastLaunchConfig& config, const std::string& region);

/// Text for UserData: base64, unless it is that already.
std::string encode_user_data(const std::string& text);

}  // namespace kiln::amazon
