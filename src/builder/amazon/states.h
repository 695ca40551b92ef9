// States of an instance: an AMI after a chosen step, from which a later build's instance goes on. Ours, not Packer's.
#pragma once
#include <memory>
#include <string>

#include "builder/amazon/running.h"
#include "core/state_cache.h"

namespace kiln::amazon {

/// What a state of an instance is; kept in MachineState::details.
struct KeptImage {
  std::string id;
  std::string region;
  std::string source_ami;  ///< what the build's instance was started from
  std::string key_name;    ///< of the temporary key that the AMI still lets in; empty: none
};
KeptImage kept_image(const MachineState& state);

/// Why an instance that is reached so has no states; empty: it has.
std::string why_no_states(const RunConfig& run);

/// Begins an AMI of the instance as it is, without stopping it: what the guest had written is in it. Waiting until EC2
/// has made it is left to the pending state. Throws Error.
std::unique_ptr<PendingState> begin_state(const std::shared_ptr<Running>& running, StageContext& context);

/// Throws Error when no instance can go on from the AMI: it is gone, or the build would start from another source AMI
/// now. `source_now`: that one.
void check_kept_image(AwsClient& client, const KeptImage& image, const std::string& source_now,
                      const Deadline& deadline, const Stop& stop);

}  // namespace kiln::amazon
