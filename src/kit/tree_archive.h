// A local directory as a tar stream, and back.
#pragma once
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

struct TreeSize {
  uint64_t bytes = 0;
  size_t entries = 0;
};
/// What there is to send. Throws Error{user} when `from` is no directory or something below cannot be looked
/// at.
TreeSize measure_tree(const std::filesystem::path& from);

/// Names in a directory, sorted: the same tree makes the same stream. Throws Error{user}.
std::vector<std::filesystem::path> sorted_names(const std::filesystem::path& directory);
/// lstat. Throws Error{user}.
struct stat lstat_of(const std::filesystem::path& path);

/// Writes the contents of `from` as a tar archive (GNU format: every tar reads it) to `out`: modes and
/// symbolic links kept, owners left out, plain directories (0755) only where they are empty, so that
/// unpacking does not touch directories that are there already. Throws Error{user} when a file cannot be read
/// or changes meanwhile; what `out` throws goes through.
void write_tree_archive(const std::filesystem::path& from, const std::function<void(std::string_view)>& out,
                        const std::function<void(uint64_t done)>& progress);

/// Unpacks a tar stream into `to` (made if missing). Names that would leave `to` are refused. `in` returns
/// the next bytes, empty at the end. Throws Error{remote} on a broken stream, Error{environment} when it
/// cannot write.
void read_tree_archive(const std::function<std::string()>& in, const std::filesystem::path& to);

}  // namespace kiln
