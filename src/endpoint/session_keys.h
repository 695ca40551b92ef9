// Keys that are good for a while: of roles that were taken on, and those an instance has of its profile's
// role.
#pragma once
#include <optional>
#include <string>

#include "endpoint/state.h"

namespace kiln::ec2 {

/// New keys, not in the state yet, good for so many seconds; keys that have ended are taken out of it. Called
/// with the state's lock held.
AccessKey new_session_key(State& state, int64_t life);
/// What a role's session is called. Pure.
std::string session_arn(const std::string& account, const std::string& role, const std::string& session);

/// The role of an instance and its keys.
struct InstanceRole {
  std::string name;
  AccessKey key;
  std::string made;  ///< when, as EC2 writes times
};
constexpr int64_t instance_key_life = 6 * 3600;  ///< seconds
/// nullopt: the instance has no profile, or that no role. Keys are made when there are none or half their
/// time is over. Called with the state's lock held.
std::optional<InstanceRole> role_of_instance(State& state, const Instance& instance,
                                             const std::string& account);
/// They are no longer good. Called with the state's lock held.
void end_keys_of_instance(State& state, const std::string& instance_id);
/// What the guest reads of it at iam/security-credentials/ROLE. Pure.
std::string role_document(const InstanceRole& role);

}  // namespace kiln::ec2
