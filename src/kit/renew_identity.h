// What tells a machine from its copies, made anew: for a machine that goes on from a state that others go on
// from, too.
#pragma once
#include <string>
#include <vector>

#include "core/communicator.h"

namespace kiln {

inline constexpr const char* renewable_host_keys = "ssh_host_keys";
inline constexpr const char* renewable_machine_id = "machine_id";
inline constexpr const char* renewable_leases = "dhcp_leases";

/// One POSIX sh script, for busybox too, to be run as root; it becomes root by sudo when it is not. What is
/// not there is not made: a sealed image stays sealed. Services that use the old ones are started again.
/// Pure.
std::string renew_identity_script(const std::vector<std::string>& what);

/// Runs it. Throws Error{remote} with the machine's words when something could not be renewed.
void renew_identity(Communicator& communicator, const std::vector<std::string>& what,
                    const Deadline& deadline, const Stop& stop);

}  // namespace kiln
