// Options of amazon-ebssurrogate, decoded and judged; and the registration they ask for.
#pragma once
#include "builder/amazon/requests.h"

namespace kiln::amazon {

struct RootDevice {
  std::string source_device_name;
  std::string device_name;
  std::optional<bool> delete_on_termination;
  std::optional<int64_t> iops;
  std::optional<int64_t> throughput;
  std::string volume_type;
  int64_t volume_size = 0;
};

/// How an AMI that is registered starts: what amazon-ebssurrogate and amazon-chroot have in common.
struct Registration {
  std::string ami_architecture;
  std::string boot_mode;
  std::string tpm_support;
  std::string uefi_data;
};
const OptionTable<Registration>& registration_options();
void prepare_registration(Registration& config, const PrepareInput& input);
/// RegisterImage's parameters, but for its devices.
AwsParameters registration_parameters(const AmiConfig& ami, const Registration& registration, const std::string& name,
                                      const std::string& root_device, const Tags& tags);

struct SurrogateConfig {
  AwsAccessConfig access;
  AmiConfig ami;
  RunConfig run;
  RootDevice root;
  Registration registration;
  std::vector<BlockDevice> ami_block_device_mappings;
  bool use_create_image = false;
  std::string snapshot_description;
};

const OptionTable<SurrogateConfig>& surrogate_options();
SurrogateConfig prepare_surrogate(const PrepareInput& input);

/// The devices of the AMI: the root from its source, the others that were launched, each from its snapshot.
std::vector<BlockDevice> surrogate_devices(const SurrogateConfig& config,
                                           const std::map<std::string, std::string>& snapshot_of_device);

}  // namespace kiln::amazon
