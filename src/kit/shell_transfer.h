// Files and trees through commands of the machine's shell: cat, wc, tar. What every way in has that runs commands.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "core/communicator.h"
#include "kit/remote_command.h"

namespace kiln {

// These return false, with nothing of the source read, when the machine lacks what they need (a POSIX shell, tar): then
// another way is tried. Errors are Error{remote} with what the machine said.
bool upload_by_shell(const StartCommand& start, const RemoteFile& file, const ByteSource& source);
bool upload_tree_by_tar(const StartCommand& start, const std::filesystem::path& from, const std::string& to,
                        const ProgressFn& progress);
/// File by file, where there is no tar: slow, with modes and links, too.
bool upload_tree_by_shell(const StartCommand& start, const std::filesystem::path& from, const std::string& to,
                          const ProgressFn& progress);
bool download_by_shell(const StartCommand& start, const std::string& path, const Sink& out);
/// `from` may have * ? [ in its last part.
bool download_tree_by_tar(const StartCommand& start, const std::string& from, const std::filesystem::path& to);

/// Reads `source` to its end in large pieces; throws Error{user} unless it has exactly `size` bytes.
void send_exactly_from(const ByteSource& source, uint64_t size, const std::string& name,
                       const std::function<void(std::string_view)>& write);

}  // namespace kiln
