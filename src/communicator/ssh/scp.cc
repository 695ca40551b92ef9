// scp's old protocol, spoken to the `scp -t` and `scp -f` of the machine.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "communicator/ssh/command.h"
#include "communicator/ssh/transfer.h"
#include "kit/shell_transfer.h"
#include "kit/tree_archive.h"

namespace kiln {

namespace {

const std::string scp_ok(1, '\0');

/// Takes scp's one-byte answer: 0 well, 1 warning, 2 error, each with a line.
/// Returns false when scp could not be started at all (nothing was answered).
bool scp_answer(RemoteCommand& command, const std::string& doing) {
  std::string code = command.read(1);
  if (code.empty()) {
    int status = command.finish();
    if (status == disconnected_status) throw Error(ErrorKind::remote, doing + ": the connection was lost");
    return false;
  }
  if (code[0] == 0) return true;
  throw Error(ErrorKind::remote, fmt::format("{}: {}", doing, trim(command.read_line())));
}

void scp_expect(RemoteCommand& command, const std::string& doing) {
  if (!scp_answer(command, doing)) {
    std::string said = command.complaint();
    throw Error(ErrorKind::remote, fmt::format("{}: {}", doing, said.empty() ? "scp ended too early" : said));
  }
}

void scp_end(RemoteCommand& command, const std::string& doing) {
  int status = command.finish();
  if (status == 0) return;
  std::string said = command.complaint();
  throw Error(ErrorKind::remote,
              fmt::format("{}: {}", doing, said.empty() ? fmt::format("scp: exit status {}", status) : said));
}

struct ScpTarget {
  std::string directory;
  std::string name;
};

/// "/a/b" is b in /a; "b" is b in ".".
ScpTarget scp_split(const std::string& path) {
  size_t slash = path.find_last_of('/');
  if (slash == path.npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

/// What scp takes for the beginning of a message when it is not in a file.
bool scp_message_begins(char c) { return std::string_view("CDET\1\2").find(c) != std::string_view::npos; }

/// The sending side. Small files go one after another without waiting for the answers: were one refused, scp would look
/// for a message where its content is, and end. Where the content looks like a message, where it is long, and for
/// directories (what is in one that was refused would come to lie beside it) the answers are waited for first.
class ScpSender {
 public:
  ScpSender(RemoteCommand& command, const std::string& doing) : command_(command), doing_(doing) {}

  using Content = std::function<void(const std::function<void(std::string_view)>&)>;
  void file(const std::string& name, int mode, uint64_t size, const Content& content) {
    say(fmt::format("C{:04o} {} {}\n", mode & 07777, size, name));
    if (size > most_unasked) settle();
    bool first = true;
    content([&](std::string_view bytes) {
      if (std::exchange(first, false) && scp_message_begins(bytes[0])) settle();
      put(bytes);
    });
    say(scp_ok);
    while (awaited_ > most_awaited) expect_one();
  }
  void enter(const std::string& name, int mode) {
    settle();
    say(fmt::format("D{:04o} 0 {}\n", mode & 07777, name));
    settle();
  }
  void leave() {
    say("E\n");
    settle();
  }
  void finish() { settle(); }

 private:
  static constexpr uint64_t most_unasked = 64 << 10;  // bytes of a file
  static constexpr size_t most_awaited = 32;          // answers
  static constexpr size_t flush_at = 128 << 10;

  void say(const std::string& message) {
    put(message);
    ++awaited_;
  }
  void put(std::string_view bytes) {
    unsent_ += bytes;
    if (unsent_.size() >= flush_at) flush();
  }
  void flush() {
    try {
      command_.write(unsent_);
    } catch (const Error& e) {
      // It ended: what it answered before says why.
      if (e.kind() == ErrorKind::remote) take_answers();
      throw;
    }
    unsent_.clear();
  }
  void expect_one() {
    if (!unsent_.empty()) flush();
    --awaited_;
    scp_expect(command_, doing_);
  }
  void take_answers() {
    while (awaited_ > 0) {
      --awaited_;
      scp_expect(command_, doing_);
    }
  }
  void settle() {
    if (!unsent_.empty()) flush();
    take_answers();
  }

  RemoteCommand& command_;
  const std::string& doing_;
  std::string unsent_;
  size_t awaited_ = 0;
};

void scp_send_directory(ScpSender& sender, const fs::path& from, uint64_t& done, uint64_t total,
                        const ProgressFn& progress) {
  std::error_code error;
  std::vector<fs::path> names;
  for (const auto& entry : fs::directory_iterator(from, error)) names.push_back(entry.path().filename());
  if (error)
    throw Error(ErrorKind::user, fmt::format("open {}: {}", from.string(), go_errno_text(error.value())));
  std::sort(names.begin(), names.end());
  for (const auto& name : names) {
    fs::path local = from / name;
    struct stat info {};
    if (::stat(local.c_str(), &info) != 0) {
      throw Error(ErrorKind::user, fmt::format("stat {}: {}", local.string(), go_errno_text(errno)));
    }
    if (contains(name.string(), "\n")) {
      throw Error(ErrorKind::user,
                  fmt::format("scp cannot send a name with a line break: {}", go_quote(name.string())));
    }
    if (S_ISDIR(info.st_mode)) {
      sender.enter(name.string(), static_cast<int>(info.st_mode));
      scp_send_directory(sender, local, done, total, progress);
      sender.leave();
    } else if (S_ISREG(info.st_mode)) {
      Fd fd(::open(local.c_str(), O_RDONLY | O_CLOEXEC));
      if (!fd.is_open())
        throw Error(ErrorKind::user, fmt::format("open {}: {}", local.string(), go_errno_text(errno)));
      auto read_local = [&](char* buffer, size_t size) {
        ssize_t n = ::read(fd.get(), buffer, size);
        if (n < 0)
          throw Error(ErrorKind::user, fmt::format("read {}: {}", local.string(), go_errno_text(errno)));
        done += static_cast<uint64_t>(n);
        if (progress) progress(done, total);
        return static_cast<size_t>(n);
      };
      uint64_t size = static_cast<uint64_t>(info.st_size);
      sender.file(name.string(), static_cast<int>(info.st_mode), size,
                  [&](const auto& write) { send_exactly_from(read_local, size, local.string(), write); });
    }
  }
}

struct ScpHeader {
  char kind = 0;  ///< C, D, E, or 0 at the end
  int mode = 0644;
  uint64_t size = 0;
  std::string name;
};

ScpHeader scp_read_header(RemoteCommand& command, const std::string& doing) {
  for (;;) {
    bool ended = false;
    std::string line = command.read_line(&ended);
    if (ended) return {};
    if (line.empty() || line[0] == 'T') {
      command.write(scp_ok);
      continue;
    }
    if (line[0] == 1 || line[0] == 2)
      throw Error(ErrorKind::remote, fmt::format("{}: {}", doing, trim(line.substr(1))));
    ScpHeader header;
    header.kind = line[0];
    if (header.kind == 'E') return header;
    size_t first = line.find(' '), second = line.find(' ', first == line.npos ? line.npos : first + 1);
    if ((header.kind != 'C' && header.kind != 'D') || second == line.npos) {
      throw Error(ErrorKind::remote, fmt::format("{}: scp said something else: {}", doing, go_quote(line)));
    }
    header.mode = static_cast<int>(std::strtol(line.substr(1, first - 1).c_str(), nullptr, 8)) & 07777;
    header.size = std::strtoull(line.substr(first + 1, second - first - 1).c_str(), nullptr, 10);
    header.name = line.substr(second + 1);
    return header;
  }
}

void scp_read_content(RemoteCommand& command, uint64_t size, const Sink& out, const std::string& doing) {
  command.write(scp_ok);
  while (size > 0) {
    std::string bytes = command.read(std::min<uint64_t>(size, 65536));
    if (bytes.empty()) throw Error(ErrorKind::remote, fmt::format("{}: {} bytes are missing", doing, size));
    size -= bytes.size();
    out(bytes);
  }
  scp_expect(command, doing);
  command.write(scp_ok);
}

}  // namespace

bool upload_by_scp(const TransferContext& context, const RemoteFile& file, const ByteSource& source) {
  ScpTarget target = scp_split(file.path);
  std::string doing = "upload " + file.path;
  SshCommand command(context.session, "scp -t " + remote_word(target.directory), context.deadline,
                        context.stop);
  if (!scp_answer(command, doing)) return false;
  ScpSender sender(command, doing);
  sender.file(target.name, file.mode, file.size,
              [&](const auto& write) { send_exactly_from(source, file.size, file.path, write); });
  sender.finish();
  scp_end(command, doing);
  return true;
}

bool upload_tree_by_scp(const TransferContext& context, const fs::path& from, const std::string& to,
                        const ProgressFn& progress) {
  uint64_t total = measure_tree(from).bytes, done = 0;
  std::string doing = "upload to " + to, path = to;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  SshCommand(context.session, "mkdir -p " + remote_word(path), context.deadline, context.stop).finish();
  SshCommand command(context.session, "scp -r -t " + remote_word(path), context.deadline, context.stop);
  if (!scp_answer(command, doing)) return false;
  ScpSender sender(command, doing);
  scp_send_directory(sender, from, done, total, progress);
  sender.finish();
  scp_end(command, doing);
  return true;
}

bool download_by_scp(const TransferContext& context, const std::string& path, const Sink& out) {
  std::string doing = "download " + path;
  SshCommand command(context.session, "scp -f " + remote_word(path), context.deadline, context.stop);
  command.write(scp_ok);
  ScpHeader header = scp_read_header(command, doing);
  if (header.kind == 0) {
    if (command.finish() == disconnected_status)
      throw Error(ErrorKind::remote, doing + ": the connection was lost");
    return false;
  }
  if (header.kind != 'C') throw Error(ErrorKind::remote, doing + ": is a directory");
  scp_read_content(command, header.size, out, doing);
  scp_end(command, doing);
  return true;
}

bool download_tree_by_scp(const TransferContext& context, const std::string& from, const fs::path& to) {
  std::string doing = "download " + from, what = from;
  bool pattern = from.find_first_of("*?[") != from.npos;
  if (!pattern) what += from.ends_with('/') ? "." : "/.";
  std::string word = pattern ? replace_all(what, " ", "\\ ") : remote_word(what);
  SshCommand command(context.session, "scp -r -f " + word, context.deadline, context.stop);
  fs::create_directories(to);
  command.write(scp_ok);
  std::vector<fs::path> inside{to};
  bool any = false;
  for (;;) {
    ScpHeader header = scp_read_header(command, doing);
    if (header.kind == 0) break;
    if (header.kind == 'E') {
      if (inside.size() > 1) inside.pop_back();
      command.write(scp_ok);
      continue;
    }
    bool top = !any && !pattern && header.kind == 'D';
    any = true;
    if (!top &&
        (header.name.empty() || header.name == "." || header.name == ".." || contains(header.name, "/"))) {
      throw Error(ErrorKind::remote, fmt::format("{}: bad name {}", doing, go_quote(header.name)));
    }
    fs::path local = top ? to : inside.back() / header.name;
    if (header.kind == 'D') {
      fs::create_directories(local);
      if (!top) ::chmod(local.c_str(), static_cast<mode_t>(header.mode | 0700));
      inside.push_back(local);
      command.write(scp_ok);
      continue;
    }
    Fd fd(::open(local.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, header.mode | 0200));
    if (!fd.is_open())
      throw Error(ErrorKind::environment, fmt::format("open {}: {}", local.string(), go_errno_text(errno)));
    scp_read_content(
        command, header.size, [&](std::string_view bytes) { write_all(fd.get(), bytes); }, doing);
    ::fchmod(fd.get(), static_cast<mode_t>(header.mode));
  }
  int status = command.finish();
  if (status == disconnected_status) throw Error(ErrorKind::remote, doing + ": the connection was lost");
  if (!any && status == 127) return false;
  if (status != 0 || !any) throw Error(ErrorKind::remote, fmt::format("{}: {}", doing, command.complaint()));
  return true;
}

}  // namespace kiln
