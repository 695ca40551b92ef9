#include "communicator/ssh/transfer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "communicator/ssh/command.h"
#include "communicator/ssh/tree_archive.h"

namespace kiln {

namespace {

constexpr size_t piece = 256 << 10;
// What our scripts say when they have begun: the machine has a shell that understood them. A login banner or
// a noisy profile may come before it.
const std::string ready = "kiln-ready";
const std::string arrived = "kiln-arrived";

/// Waits for our script's sign; false when it ended without.
bool await_ready(RemoteCommand& command) {
  bool ended = false;
  while (!ended) {
    if (command.read_line(&ended).ends_with(ready)) return true;
  }
  return false;
}

[[noreturn]] void refused(RemoteCommand& command, int status, std::string_view doing) {
  std::string said = command.complaint();
  if (said.empty()) {
    said = status == disconnected_status ? "the connection was lost" : fmt::format("exit status {}", status);
  }
  throw Error(ErrorKind::remote, fmt::format("{}: {}", doing, said));
}

/// The script as a command line for any login shell; `argument` is its $1.
std::string posix_script(const std::string& script, const std::string& argument) {
  return fmt::format("/bin/sh -c {} sh {}", shell_quote(script), remote_word(argument));
}

bool has_pattern(const std::string& name) { return name.find_first_of("*?[") != std::string::npos; }

/// A pattern's characters stay, all others are quoted.
std::string pattern_word(const std::string& name) {
  std::string out;
  for (char c : name) {
    if (isalnum(static_cast<unsigned char>(c)) ||
        std::string_view("*?[]!-._").find(c) != std::string_view::npos)
      out += c;
    else
      out += shell_quote(std::string(1, c));
  }
  return out;
}

}  // namespace

void send_exactly_from(const ByteSource& source, uint64_t size, const std::string& name,
                       const std::function<void(std::string_view)>& write) {
  std::string buffer(std::min<uint64_t>(piece, size + 1), '\0');  // one more: a source that has grown shows
  uint64_t sent = 0;
  for (;;) {
    size_t n = source(buffer.data(), buffer.size());
    if (n == 0) break;
    sent += n;
    if (sent > size) break;
    write(std::string_view(buffer).substr(0, n));
  }
  if (sent != size) {
    throw Error(ErrorKind::user, fmt::format("{}: {} bytes were announced, but the source has {}", name, size,
                                             sent > size ? "more" : std::to_string(sent)));
  }
}

bool upload_by_shell(const TransferContext& context, const RemoteFile& file, const ByteSource& source) {
  // Written in place, as scp does: links are followed, owners of existing files stay. The size is what `wc`
  // counts.
  std::string script = fmt::format(
      "f=$1; echo {0}; cat > \"$f\" || exit 1; if [ -f \"$f\" ]; then n=$(wc -c < \"$f\") && [ \"$n\" -eq "
      "{1} ] || "
      "{{ echo \"$f: $n of {1} bytes arrived\" >&2; exit 1; }}; chmod {2:o} \"$f\" || exit 1; fi; echo {3}",
      ready, file.size, file.mode & 07777, arrived);
  RemoteCommand command(context.session, posix_script(script, file.path), context.deadline, context.stop);
  if (!await_ready(command)) {
    int status = command.finish();
    if (status == disconnected_status) refused(command, status, "upload " + file.path);
    return false;
  }
  send_exactly_from(source, file.size, file.path, [&](std::string_view bytes) { command.write(bytes); });
  command.send_eof();
  bool ended = false;
  std::string last;
  while (!ended && last != arrived) last = command.read_line(&ended);
  int status = command.finish();
  if (status != 0 || last != arrived) refused(command, status, "upload " + file.path);
  return true;
}

bool download_by_shell(const TransferContext& context, const std::string& path, const Sink& out) {
  std::string script = fmt::format(
      "f=$1; echo {}; [ -d \"$f\" ] && {{ echo \"$f: is a directory\" >&2; exit 1; }}; "
      "wc -c < \"$f\" && cat < \"$f\"",
      ready);
  RemoteCommand command(context.session, posix_script(script, path), context.deadline, context.stop);
  bool started = await_ready(command);
  bool ended = false;
  std::string count(trim(started ? command.read_line(&ended) : std::string()));
  uint64_t size = 0, got = 0;
  if (started && !ended && !count.empty()) {
    size = std::stoull(count);
    for (;;) {
      std::string bytes = command.read_some();
      if (bytes.empty()) break;
      got += bytes.size();
      out(bytes);
    }
  }
  int status = command.finish();
  if (!started && status != disconnected_status) return false;
  if (status != 0) refused(command, status, "download " + path);
  if (got != size) {
    throw Error(ErrorKind::remote, fmt::format("download {}: {} of {} bytes arrived", path, got, size));
  }
  return true;
}

bool upload_tree_by_tar(const TransferContext& context, const std::filesystem::path& from,
                        const std::string& to, const ProgressFn& progress) {
  uint64_t total = measure_tree(from).bytes;
  // Owners are the login user's (-o) and times those of arrival (-m), as with scp. GNU tar is told to leave
  // existing directories, and links to directories, as they are; busybox' does so anyway.
  std::string script = fmt::format(
      "command -v tar >/dev/null 2>&1 || exit 97; d=$1; mkdir -p \"$d\" || exit 1; "
      "case \"$(tar --version 2>&1)\" in *GNU*) o='--no-overwrite-dir --keep-directory-symlink';; *) o=;; "
      "esac; "
      "echo {0}; tar -x -o -m -p $o -f - -C \"$d\" || exit 1; echo {1}",
      ready, arrived);
  RemoteCommand command(context.session, posix_script(script, to), context.deadline, context.stop);
  if (!await_ready(command)) {
    int status = command.finish();
    if (status == disconnected_status || status == 1) refused(command, status, "upload to " + to);
    return false;
  }
  try {
    write_tree_archive(
        from, [&](std::string_view bytes) { command.write(bytes); },
        [&](uint64_t done) {
          if (progress) progress(done, total);
        });
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::remote) throw e.with_context("upload to " + to);
    throw;
  }
  command.send_eof();
  bool ended = false;
  std::string last;
  while (!ended && last != arrived) last = command.read_line(&ended);
  int status = command.finish();
  if (status != 0 || last != arrived) refused(command, status, "upload to " + to);
  return true;
}

bool download_tree_by_tar(const TransferContext& context, const std::string& from,
                          const std::filesystem::path& to) {
  std::string directory = from, what = ".";
  size_t slash = from.find_last_of('/');
  std::string last = slash == from.npos ? from : from.substr(slash + 1);
  if (has_pattern(last)) {
    directory = slash == from.npos ? "." : slash == 0 ? "/" : from.substr(0, slash);
    what = "./" + pattern_word(last);
  }
  std::string script = fmt::format(
      "command -v tar >/dev/null 2>&1 || exit 97; cd \"$1\" || exit 1; echo {}; tar -cf - {}", ready, what);
  RemoteCommand command(context.session, posix_script(script, directory), context.deadline, context.stop);
  if (!await_ready(command)) {
    int status = command.finish();
    if (status == disconnected_status || status == 1) refused(command, status, "download " + from);
    return false;
  }
  try {
    read_tree_archive([&] { return command.read_some(); }, to);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::remote || !context.session.alive()) throw;
    int status = command.finish();
    if (status != 0) refused(command, status, "download " + from);
    throw;
  }
  int status = command.finish();
  if (status != 0) refused(command, status, "download " + from);
  return true;
}

}  // namespace kiln
