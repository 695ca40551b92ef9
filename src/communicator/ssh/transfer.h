// Moving files over an ssh connection by scp's protocol. (A shell's cat and tar: kit/shell_transfer.h; sftp: sftp.h)
#pragma once
#include <filesystem>
#include <string>

#include "core/communicator.h"
#include "wire/ssh_session.h"

namespace kiln {

/// What every transfer needs. References outlive the call.
struct TransferContext {
  SshSession& session;
  const Deadline& deadline;
  const Stop& stop;
};

// They return false, with nothing of the source read, when the machine lacks scp: then another way is tried. Errors are
// Error{remote} with what the machine said.
bool upload_by_scp(const TransferContext& context, const RemoteFile& file, const ByteSource& source);
/// Follows symbolic links (the protocol has none).
bool upload_tree_by_scp(const TransferContext& context, const std::filesystem::path& from,
                        const std::string& to, const ProgressFn& progress);
bool download_by_scp(const TransferContext& context, const std::string& path, const Sink& out);
bool download_tree_by_scp(const TransferContext& context, const std::string& from,
                          const std::filesystem::path& to);

}  // namespace kiln
