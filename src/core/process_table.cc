#include "core/process_table.h"

#include <charconv>

#include "base/file.h"
#include "base/text.h"

namespace kiln {

std::optional<int64_t> process_start_time(pid_t pid) {
  if (pid <= 0) return std::nullopt;
  std::optional<std::string> stat;
  try {
    stat = read_file_if_exists("/proc/" + std::to_string(pid) + "/stat");
  } catch (const std::exception&) {
    return std::nullopt;  // it ended between open and read
  }
  if (!stat) return std::nullopt;
  size_t name_end = stat->rfind(')');  // the name may hold anything, parentheses too
  if (name_end == std::string::npos) return std::nullopt;
  auto fields = split(std::string_view(*stat).substr(name_end + 2), ' ');  // from field 3, the state
  if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") return std::nullopt;
  int64_t ticks = 0;
  const std::string& field = fields[19];
  auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), ticks);
  if (error != std::errc() || end != field.data() + field.size()) return std::nullopt;
  return ticks;
}

std::vector<pid_t> processes_with_env(const std::string& name, const std::string& value) {
  std::vector<pid_t> found;
  std::string wanted = name + "=" + value;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    std::string base = entry->path().filename().string();
    pid_t pid = 0;
    auto parsed = std::from_chars(base.data(), base.data() + base.size(), pid);
    if (parsed.ec != std::errc() || parsed.ptr != base.data() + base.size()) continue;
    std::optional<std::string> environment;
    try {
      environment = read_file_if_exists(entry->path() / "environ");
    } catch (const std::exception&) {
      continue;  // another user's, or it has just ended
    }
    if (!environment || !contains(*environment, wanted)) continue;
    for (const auto& item : split(*environment, std::string_view("\0", 1))) {
      if (item == wanted && process_start_time(pid)) found.push_back(pid);
    }
  }
  return found;
}

}  // namespace kiln
