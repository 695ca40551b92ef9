// A control group for each container, where no systemd on the host gives it one.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace kiln {

/// Where a group called `name` lies below ours, in the hierarchies that a guest's systemd uses: from the text of
/// /proc/self/cgroup; `unified` is where cgroup v2 is mounted. Pure.
std::vector<std::filesystem::path> cgroup_directories(const std::string& proc_self_cgroup,
                                                      const std::filesystem::path& unified, const std::string& name);

/// Groups of one container. Two guests in one group would each take the other's services for their own.
/// Owned by Container; not thread-safe.
class ContainerCgroup {
 public:
  /// Nothing is made on hosts that run systemd: nspawn asks it for a scope there.
  explicit ContainerCgroup(const std::string& machine);
  ~ContainerCgroup() { remove(); }
  ContainerCgroup(const ContainerCgroup&) = delete;
  ContainerCgroup& operator=(const ContainerCgroup&) = delete;

  bool is_needed() const { return !directories_.empty(); }
  /// Makes the groups anew, empty; takes away those of killed runs. Throws Error{environment}.
  void make();
  /// Removes them; with processes in them they stay.
  void remove();
  /// `argv` so that it runs in the groups.
  std::vector<std::string> entered(const std::vector<std::string>& argv) const;

 private:
  std::vector<std::filesystem::path> directories_;
};

}  // namespace kiln
