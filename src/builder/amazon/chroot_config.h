// Options of amazon-chroot, decoded and judged; and the requests they ask for.
#pragma once
#include "builder/amazon/surrogate_config.h"

namespace kiln::amazon {

struct ChrootConfig {
  AwsAccessConfig access;
  AmiConfig ami;
  Registration registration;
  std::string source_ami;
  AwsImageFilterConfig source_ami_filter;
  std::vector<BlockDevice> ami_block_device_mappings;
  std::vector<std::vector<std::string>> chroot_mounts;
  std::string command_wrapper;
  std::vector<std::string> copy_files;
  std::string device_path;
  std::string nvme_device_path;
  bool from_scratch = false;
  std::vector<std::string> mount_options;
  std::string mount_partition;
  std::string mount_path;
  std::vector<std::string> pre_mount_commands;
  std::vector<std::string> post_mount_commands;
  std::string root_device_name;
  int64_t root_volume_size = 0;
  std::string root_volume_type;
  Tags root_volume_tags;  ///< as written
  std::vector<AwsKeyValue> root_volume_tag;
  std::optional<bool> root_volume_encrypt_boot;
  std::string root_volume_kms_key_id;
};

const OptionTable<ChrootConfig>& chroot_options();
ChrootConfig prepare_chroot(const PrepareInput& input);

/// The root device's mapping in the source AMI; nullptr when it has none.
const AwsElement* root_mapping(const AwsElement& image);
AwsParameters root_volume_parameters(const ChrootConfig& config, const AwsElement& source_image,
                                     const std::string& zone, const Tags& tags);
/// RegisterImage's: of the template, or, where it says nothing, of the source AMI, with the new root.
AwsParameters chroot_registration(const ChrootConfig& config, const AwsElement& source_image, const std::string& name,
                                  const std::string& snapshot_id, const Tags& tags);
/// The device that is mounted: with the partition, unless it is none or the AMI is paravirtual.
std::string device_to_mount(const ChrootConfig& config, const AwsElement& source_image, const std::string& device);

}  // namespace kiln::amazon
