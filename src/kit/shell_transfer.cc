#include "kit/shell_transfer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/tree_archive.h"

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

/// The script as a command line for any login shell; `word` is its $1 as a shell reads it.
std::string posix_script(const std::string& script, const std::string& word) {
  return fmt::format("/bin/sh -c {} sh {}", shell_quote(script), word);
}

/// What the machine says a file's size is.
uint64_t parse_size(const std::string& text, const std::string& path) {
  uint64_t size = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Error(ErrorKind::remote,
                fmt::format("download {}: the machine says its size is {}", path, go_quote(text.substr(0, 80))));
  }
  return size;
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

/// Writes the file that `word` is to a shell. Written in place, as scp does: links are followed, owners of existing
/// files stay. The size is what `wc` counts.
bool write_by_shell(const StartCommand& start, const std::string& word, const RemoteFile& file,
                    const ByteSource& source) {
  std::string script = fmt::format(
      "f=$1; echo {0}; cat > \"$f\" || exit 1; if [ -f \"$f\" ]; then n=$(wc -c < \"$f\") && [ \"$n\" -eq "
      "{1} ] || "
      "{{ echo \"$f: $n of {1} bytes arrived\" >&2; exit 1; }}; chmod {2:o} \"$f\" || exit 1; fi; echo {3}",
      ready, file.size, file.mode & 07777, arrived);
  auto command = start(posix_script(script, word));
  if (!await_ready(*command)) {
    int status = command->finish();
    if (status == disconnected_status) refused(*command, status, "upload " + file.path);
    return false;
  }
  send_exactly_from(source, file.size, file.path, [&](std::string_view bytes) { command->write(bytes); });
  command->send_eof();
  bool ended = false;
  std::string last;
  while (!ended && last != arrived) last = command->read_line(&ended);
  int status = command->finish();
  if (status != 0 || last != arrived) refused(*command, status, "upload " + file.path);
  return true;
}

/// Sends a tree file by file.
class FileByFile {
 public:
  FileByFile(const StartCommand& start, const std::string& to, const ProgressFn& progress, uint64_t total)
      : start_(start), to_(to), progress_(progress), total_(total) {}

  /// The contents of `local` into `inside` of the target. False when the machine cannot take files at all.
  bool directory(const fs::path& local, const std::string& inside) {
    do_there("mkdir -p \"$1\"", inside);
    for (const auto& name : sorted_names(local)) {
      if (!entry(local / name, inside.empty() ? name.string() : inside + "/" + name.string())) return false;
    }
    return true;
  }

 private:
  std::string word(const std::string& inside) const {
    return remote_word(to_) + (inside.empty() ? "" : shell_quote("/" + inside));
  }

  void do_there(const std::string& script, const std::string& inside) {
    auto command = start_(posix_script(script, word(inside)));
    int status = command->finish();
    if (status != 0) refused(*command, status, "upload to " + to_);
  }

  bool entry(const fs::path& local, const std::string& inside) {
    struct stat info = lstat_of(local);
    if (S_ISLNK(info.st_mode)) {
      do_there("rm -f \"$1\"; ln -s " + shell_quote(fs::read_symlink(local).string()) + " \"$1\"", inside);
    } else if (S_ISDIR(info.st_mode)) {
      if (!directory(local, inside)) return false;
      if (mode_t mode = info.st_mode & 07777; mode != 0755) do_there(fmt::format("chmod {:o} \"$1\"", mode), inside);
    } else if (S_ISREG(info.st_mode)) {
      return file(local, inside, info);
    }
    return true;
  }

  bool file(const fs::path& local, const std::string& inside, const struct stat& info) {
    Fd fd(::open(local.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.is_open()) throw Error(ErrorKind::user, fmt::format("open {}: {}", local.string(), go_errno_text(errno)));
    RemoteFile remote{to_ + "/" + inside, static_cast<uint64_t>(info.st_size), static_cast<int>(info.st_mode & 07777)};
    auto source = [&](char* buffer, size_t size) {
      std::string bytes = read_some(fd.get(), size);
      done_ += bytes.size();
      if (progress_) progress_(done_, total_);
      return bytes.copy(buffer, size);
    };
    return write_by_shell(start_, word(inside), remote, source);
  }

  const StartCommand& start_;
  const std::string& to_;
  const ProgressFn& progress_;
  uint64_t total_;
  uint64_t done_ = 0;
};

}  // namespace

bool upload_tree_by_shell(const StartCommand& start, const std::filesystem::path& from, const std::string& to,
                          const ProgressFn& progress) {
  return FileByFile(start, to, progress, measure_tree(from).bytes).directory(from, "");
}

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

bool upload_by_shell(const StartCommand& start, const RemoteFile& file, const ByteSource& source) {
  return write_by_shell(start, remote_word(file.path), file, source);
}

bool download_by_shell(const StartCommand& start, const std::string& path, const Sink& out) {
  std::string script = fmt::format(
      "f=$1; echo {}; [ -d \"$f\" ] && {{ echo \"$f: is a directory\" >&2; exit 1; }}; "
      "wc -c < \"$f\" && cat < \"$f\"",
      ready);
  auto command = start(posix_script(script, remote_word(path)));
  bool started = await_ready(*command);
  bool ended = false;
  std::string count(trim(started ? command->read_line(&ended) : std::string()));
  uint64_t size = 0, got = 0;
  if (started && !ended && !count.empty()) {
    size = parse_size(count, path);
    for (;;) {
      std::string bytes = command->read_some();
      if (bytes.empty()) break;
      got += bytes.size();
      out(bytes);
    }
  }
  int status = command->finish();
  if (!started && status != disconnected_status) return false;
  if (status != 0) refused(*command, status, "download " + path);
  if (got != size) {
    throw Error(ErrorKind::remote, fmt::format("download {}: {} of {} bytes arrived", path, got, size));
  }
  return true;
}

bool upload_tree_by_tar(const StartCommand& start, const std::filesystem::path& from,
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
  auto command = start(posix_script(script, remote_word(to)));
  if (!await_ready(*command)) {
    int status = command->finish();
    if (status == disconnected_status || status == 1) refused(*command, status, "upload to " + to);
    return false;
  }
  try {
    write_tree_archive(
        from, [&](std::string_view bytes) { command->write(bytes); },
        [&](uint64_t done) {
          if (progress) progress(done, total);
        });
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::remote) throw e.with_context("upload to " + to);
    throw;
  }
  command->send_eof();
  bool ended = false;
  std::string last;
  while (!ended && last != arrived) last = command->read_line(&ended);
  int status = command->finish();
  if (status != 0 || last != arrived) refused(*command, status, "upload to " + to);
  return true;
}

bool download_tree_by_tar(const StartCommand& start, const std::string& from,
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
  auto command = start(posix_script(script, remote_word(directory)));
  if (!await_ready(*command)) {
    int status = command->finish();
    if (status == disconnected_status || status == 1) refused(*command, status, "download " + from);
    return false;
  }
  try {
    read_tree_archive([&] { return command->read_some(); }, to);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::remote) throw;
    int status = command->finish();  // throws when the connection is what broke
    if (status != 0) refused(*command, status, "download " + from);
    throw;
  }
  int status = command->finish();
  if (status != 0) refused(*command, status, "download " + from);
  return true;
}

}  // namespace kiln
