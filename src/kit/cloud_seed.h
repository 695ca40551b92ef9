// What a cloud gives cloud-init, on the laptop: a "NoCloud" seed of a few files, on a CD or in a directory of the image.
// Kiln's own options, for builders of local machines.
#pragma once
#include <map>
#include <string>

#include "core/stage_context.h"
#include "lang/option.h"

namespace kiln {

struct CloudSeedConfig {
  std::string user_data;
  std::string user_data_file;
  std::string meta_data;
  std::string network_config;
  /// Something was given.
  bool wanted() const {
    return !user_data.empty() || !user_data_file.empty() || !meta_data.empty() || !network_config.empty();
  }
};

const OptionTable<CloudSeedConfig>& cloud_seed_options();

/// Looks at the files, tells mistakes; reads user_data_file into user_data.
void prepare_cloud_seed(CloudSeedConfig& seed, const PrepareInput& input);

/// nullptr when cloud-init knows what to do with such user data; else why it would pass it over. Pure.
const char* strange_user_data(const std::string& text);

/// What is the machine's and not a person's choice.
struct CloudSeedMachine {
  std::string instance_id;  ///< new for each machine: cloud-init runs once for each
  std::string public_key;   ///< of the build: one authorized_keys line; empty: none
  std::string user;         ///< who shall be entered with it; empty: the distribution's default user
};

/// The label by which cloud-init knows a CD.
constexpr const char* cloud_seed_label = "cidata";

/// The seed: names ("user-data", "meta-data", "vendor-data" with a key, "network-config" when given) and contents. The key
/// is in the meta data, where a cloud puts it, and for `user` in vendor data, which user data may override. Pure.
std::map<std::string, std::string> cloud_seed_files(const CloudSeedConfig& seed, const CloudSeedMachine& machine);

}  // namespace kiln
