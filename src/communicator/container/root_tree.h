// A guest's file tree seen from the host: every path is taken inside it, whatever its symbolic links say.
#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace kiln {

/// Reads and changes files below a root directory. Paths are the guest's own ("/etc/hostname"); symbolic links,
/// absolute ones too, are followed inside the root and never lead out of it (openat2, RESOLVE_IN_ROOT).
/// Used by one thread at a time. Failures are Error{environment} and name the guest's path.
class RootTree {
 public:
  /// `root` may be a directory or "/proc/PID/root" (then the mounts of that process are seen).
  explicit RootTree(const std::filesystem::path& root);

  /// Opens with O_* flags; throws. Missing parent directories are an error.
  Fd open(const std::string& path, int flags, int mode = 0644) const;
  /// The same, but a missing file or directory is nullopt.
  std::optional<Fd> open_if_exists(const std::string& path, int flags) const;
  /// lstat; nullopt when there is nothing.
  std::optional<struct stat> status(const std::string& path) const;
  bool exists(const std::string& path) const { return status(path).has_value(); }
  bool is_directory(const std::string& path) const;  ///< links followed

  std::optional<std::string> read(const std::string& path) const;
  /// Writes the whole file (parents made, an existing file or link target replaced in place), mode set exactly.
  void write(const std::string& path, std::string_view content, int mode = 0644) const;
  void make_directories(const std::string& path, int mode = 0755) const;
  void symlink(const std::string& target, const std::string& path) const;  ///< replaces a file or link there
  void rename(const std::string& from, const std::string& to) const;
  std::optional<std::string> link_target(const std::string& path) const;
  /// Removes a file, a link or a whole directory; nothing there is no error.
  void remove(const std::string& path) const;
  /// Removes what is in a directory, not the directory.
  void remove_contents(const std::string& path) const;
  std::vector<std::string> list(const std::string& path) const;  ///< names, sorted; empty when missing

 private:
  struct Place {
    Fd directory;
    std::string name;
  };
  Place parent_of(const std::string& path) const;
  Fd root_;
};

}  // namespace kiln
