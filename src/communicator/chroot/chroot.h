// The communicator of amazon-chroot: commands run in a directory tree by chroot(8), files are copied into it.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/communicator.h"

namespace kiln {

/// Puts what the person wants around a command line ("sudo ..."). Throws Error.
using CommandWrapper = std::function<std::string(const std::string& command)>;

struct ChrootSpec {
  std::filesystem::path root;  ///< the mounted tree
  CommandWrapper wrap;         ///< may be empty
  std::string token;           ///< KILN_RESOURCE of every process that is started
};

std::unique_ptr<Communicator> make_chroot_communicator(ChrootSpec spec);

/// Runs a command line of the host by /bin/sh, wrapped; what it prints on stderr is in the Error. Throws
/// Error{environment} unless it ends well.
void run_wrapped(const ChrootSpec& spec, const std::string& command, const Deadline& deadline, const Stop& stop);

/// A path of the guest, below the root: ".." leads nowhere else. Pure.
std::filesystem::path chroot_path(const std::filesystem::path& root, const std::string& path);

}  // namespace kiln
