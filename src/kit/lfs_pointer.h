// Git LFS pointers: small texts that stand for big files which were never fetched.
#pragma once
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/wait.h"

namespace kiln {

/// Whether the content of a file is a pointer (the format's specification, version 1).
bool is_lfs_pointer(std::string_view content);

/// Every pointer among `paths`, and below those that are directories. Opens only files of at most 1 KiB.
std::vector<std::filesystem::path> find_lfs_pointers(const std::vector<std::filesystem::path>& paths,
                                                     const Stop& stop);

/// Throws Error{user} that names the pointers and the cure, if there are any.
void refuse_lfs_pointers(const std::vector<std::filesystem::path>& paths, const Stop& stop);

}  // namespace kiln
