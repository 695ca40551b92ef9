// What /proc tells of processes.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kiln {

/// Start time in clock ticks since boot, which with the pid names a process for good; nullopt when there is none
/// (a zombie counts as gone).
std::optional<int64_t> process_start_time(pid_t pid);
/// Processes that were started with NAME=VALUE in their environment (as far as this user may see).
std::vector<pid_t> processes_with_env(const std::string& name, const std::string& value);

}  // namespace kiln
