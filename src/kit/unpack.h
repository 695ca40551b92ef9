// One file out of a compressed file or an archive (libarchive).
#pragma once
#include <filesystem>
#include <string>

#include "base/wait.h"
#include "core/communicator.h"

namespace kiln {

/// Whether a name ends like something Packer unpacks when it downloads it: .gz .bz2 .xz .zst .zip .tar .tgz
/// ...
bool is_unpackable_name(const std::string& name);

/// Writes the one file inside `from` to `to`. An archive with several files is Error{user}. Progress counts
/// the bytes written. Stop throws Error{cancelled}; a half-written `to` is left to the caller.
void unpack_single_file(const std::filesystem::path& from, const std::string& name,
                        const std::filesystem::path& to, const ProgressFn& progress, const Stop& stop);

}  // namespace kiln
