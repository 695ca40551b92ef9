#include "communicator/container/cgroup.h"

#include <unistd.h>

#include <chrono>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr const char* group_prefix = "kiln-";

std::vector<fs::path> subgroups(const fs::path& group) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(group, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(error) && !it->is_symlink(error)) out.push_back(it->path());
  }
  return out;
}

/// Only empty groups can be removed, so this never touches a process.
void remove_group(const fs::path& group) {
  for (const auto& child : subgroups(group)) remove_group(child);
  ::rmdir(group.c_str());
}

bool has_processes(const fs::path& group) {
  auto processes = read_file_if_exists(group / "cgroup.procs");
  if (!processes || !processes->empty()) return true;
  for (const auto& child : subgroups(group)) {
    if (has_processes(child)) return true;
  }
  return false;
}

/// Groups of containers whose kiln was killed. A living container always has processes; one that is just being made
/// is younger than a minute.
void remove_left_over(const fs::path& parent) {
  for (const auto& group : subgroups(parent)) {
    std::error_code error;
    auto made = fs::last_write_time(group, error);
    bool old = !error && fs::file_time_type::clock::now() - made > std::chrono::minutes(1);
    if (group.filename().string().starts_with(group_prefix) && old && !has_processes(group)) remove_group(group);
  }
}

}  // namespace

std::vector<fs::path> cgroup_directories(const std::string& proc_self_cgroup, const fs::path& unified,
                                         const std::string& name) {
  std::vector<fs::path> out;
  for (const auto& line : split(proc_self_cgroup, '\n')) {
    size_t first = line.find(':');
    size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string kind = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (contains(path, "..")) continue;  // outside of our cgroup name space
    if (kind == "name=systemd") out.push_back(fs::path("/sys/fs/cgroup/systemd" + path) / name);
    if (kind.empty()) out.push_back(fs::path(unified.string() + path) / name);
  }
  return out;
}

ContainerCgroup::ContainerCgroup(const std::string& machine) {
  std::string name = group_prefix + machine;
  if (fs::exists("/run/systemd/system")) return;
  bool v2 = fs::exists("/sys/fs/cgroup/cgroup.controllers");
  for (auto& directory : cgroup_directories(read_file_if_exists("/proc/self/cgroup").value_or(""),
                                            v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified", name)) {
    if (fs::is_directory(directory.parent_path())) directories_.push_back(std::move(directory));
  }
}

void ContainerCgroup::make() {
  remove();
  for (const auto& directory : directories_) {
    remove_left_over(directory.parent_path());
    std::error_code error;
    fs::create_directory(directory, error);
    if (error)
      throw Error(ErrorKind::environment, "make the control group " + directory.string() + ": " + error.message());
  }
}

void ContainerCgroup::remove() {
  for (const auto& directory : directories_) remove_group(directory);
}

std::vector<std::string> ContainerCgroup::entered(const std::vector<std::string>& argv) const {
  if (directories_.empty()) return argv;
  std::vector<std::string> out = {"sh", "-c",
                                  "while [ \"$1\" != -- ]; do echo $$ >\"$1/cgroup.procs\" || exit 1; shift; done; "
                                  "shift; exec \"$@\"",
                                  "sh"};
  for (const auto& directory : directories_) out.push_back(directory.string());
  out.push_back("--");
  out.insert(out.end(), argv.begin(), argv.end());
  return out;
}

}  // namespace kiln
