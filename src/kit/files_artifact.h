// An artifact that is files on this machine and nothing more.
#pragma once
#include <string>
#include <vector>

#include "core/artifact.h"

namespace kiln {

/// Described and destroyed as Packer's artifice and checksum do: destroying it removes the files, and throws
/// Error{environment} at the first that cannot be. `state` is handed on.
Artifact artifact_of_files(std::string builder_id, const std::vector<std::string>& files, const Value& state);

}  // namespace kiln
