// Things in AWS that no journal knows any more: found by their tags (`kiln gc --aws`).
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/aws_resource.h"

namespace kiln {

/// The tag of what is only there while a run lives (instances, key pairs, security groups): who made it.
/// AMIs, snapshots and volumes that are results have none.
inline constexpr const char* aws_owner_tag = "kiln:owner";
/// The tag of an AMI that is a state of a machine: StateRun::outside_tag(). Its cache tells whether it is still used.
inline constexpr const char* aws_state_tag = "kiln:state";
/// Of this process: "UID.PID.START.PIDNS.BOOT". Only on this machine, in this boot and container, is it known
/// whether it lives.
std::string aws_owner_tag_value();

enum class AwsOwner {
  lives,      ///< a process of this user here, which still runs
  dead,       ///< likewise, and it has ended: what it made is left over for certain
  elsewhere,  ///< of another machine, boot, container or user: nobody here can tell
};
AwsOwner judge_aws_owner(const std::string& tag_value);

/// A thing with the owner's tag.
struct AwsTagged {
  AwsResource resource;
  std::string id;         ///< "i-...", or the name
  std::string tag_value;  ///< of aws_run_tag: "RUN/TOKEN"
  std::string owner;      ///< of aws_owner_tag
  std::string state;      ///< of aws_state_tag; empty: it is none
  std::string made_at;    ///< RFC 3339; empty: AWS does not tell
};
/// All that are there in the client's region, instances first. Throws AwsError, Error.
std::vector<AwsTagged> find_aws_tagged(AwsClient& client, const Deadline& deadline, const Stop& stop);
/// How long ago it was made; nullopt: not known. Pure.
std::optional<std::chrono::seconds> aws_age(const AwsTagged& thing,
                                            std::chrono::system_clock::time_point now);

}  // namespace kiln
