// Copies directory trees between the host and a guest's root.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/wait.h"
#include "communicator/container/root_tree.h"
#include "core/communicator.h"

namespace kiln {

/// Sends the contents of host directory `from` into guest directory `to` (made if missing): modes and symbolic
/// links as they are, owner root. Sockets, pipes and devices are passed over.
void copy_tree_into_root(const std::filesystem::path& from, const RootTree& tree, const std::string& to,
                         const ProgressFn& progress, const Deadline& deadline, const Stop& stop);
/// Fetches the contents of guest directory `from` into host directory `to` (made if missing).
void copy_tree_from_root(const RootTree& tree, const std::string& from, const std::filesystem::path& to,
                         const Deadline& deadline, const Stop& stop);

}  // namespace kiln
