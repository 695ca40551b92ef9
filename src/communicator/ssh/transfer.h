// Ways of moving files over an ssh connection: a shell's cat, scp's protocol, tar streams. (sftp: sftp.h)
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

// The first three return false, with nothing of the source read, when the machine lacks what they need (a
// POSIX shell, scp, tar): then another way is tried. Errors are Error{remote} with what the machine said.
bool upload_by_shell(const TransferContext& context, const RemoteFile& file, const ByteSource& source);
bool upload_by_scp(const TransferContext& context, const RemoteFile& file, const ByteSource& source);
bool upload_tree_by_tar(const TransferContext& context, const std::filesystem::path& from,
                        const std::string& to, const ProgressFn& progress);
/// Follows symbolic links (the protocol has none).
bool upload_tree_by_scp(const TransferContext& context, const std::filesystem::path& from,
                        const std::string& to, const ProgressFn& progress);

bool download_by_shell(const TransferContext& context, const std::string& path, const Sink& out);
bool download_by_scp(const TransferContext& context, const std::string& path, const Sink& out);
/// `from` may have * ? [ in its last part.
bool download_tree_by_tar(const TransferContext& context, const std::string& from,
                          const std::filesystem::path& to);
bool download_tree_by_scp(const TransferContext& context, const std::string& from,
                          const std::filesystem::path& to);

/// Reads `source` to its end in large pieces; throws Error{user} unless it has exactly `size` bytes.
void send_exactly_from(const ByteSource& source, uint64_t size, const std::string& name,
                       const std::function<void(std::string_view)>& write);

}  // namespace kiln
