#include "communicator/ssh/sftp.h"

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
#include "kit/shell_transfer.h"
#include "kit/tree_archive.h"

namespace kiln {

namespace {

enum : int {
  sftp_init = 1,
  sftp_open = 3,
  sftp_close = 4,
  sftp_read = 5,
  sftp_write = 6,
  sftp_lstat = 7,
  sftp_fstat = 8,
  sftp_fsetstat = 10,
  sftp_opendir = 11,
  sftp_readdir = 12,
  sftp_mkdir = 14,
  sftp_stat = 17,
  sftp_readlink = 19,
  sftp_symlink = 20,
  sftp_remove = 13,
  sftp_status = 101,
  sftp_handle = 102,
  sftp_data = 103,
  sftp_name = 104,
  sftp_attrs = 105,
};
enum : uint32_t { open_read = 1, open_write = 2, open_create = 8, open_truncate = 16, open_exclusive = 32 };
constexpr size_t chunk = 32768;   // every server takes this much
constexpr size_t in_flight = 256;      // requests sent before the first answer must be there
constexpr size_t open_ahead = 48;      // files: servers allow some hundred open ones
constexpr size_t flush_at = 256 << 10;  // small requests leave together
constexpr size_t reads_in_flight = 64;
constexpr uint32_t at_end = 1;    // SSH_FX_EOF
constexpr uint32_t attr_mode = 4;

std::string u32(uint64_t n) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift & 255);
  return out;
}
std::string u64(uint64_t n) { return u32(n >> 32) + u32(n & 0xffffffff); }
std::string text(std::string_view s) { return u32(s.size()) + std::string(s); }
std::string mode_attributes(int mode) { return u32(attr_mode) + u32(static_cast<uint64_t>(mode & 07777)); }

uint64_t take_number(std::string_view& in, size_t size) {
  if (in.size() < size) throw Error(ErrorKind::remote, "sftp: the server's answer is too short");
  uint64_t out = 0;
  for (size_t i = 0; i < size; ++i) out = out << 8 | static_cast<unsigned char>(in[i]);
  in.remove_prefix(size);
  return out;
}
std::string take_text(std::string_view& in) {
  size_t size = take_number(in, 4);
  if (in.size() < size) throw Error(ErrorKind::remote, "sftp: the server's answer is too short");
  std::string out(in.substr(0, size));
  in.remove_prefix(size);
  return out;
}

std::string_view sftp_reason(uint64_t code) {
  switch (code) {
    case 2:
      return "no such file or directory";
    case 3:
      return "permission denied";
    case 4:
      return "failure";
    case 8:
      return "operation unsupported";
  }
  return "failed";
}

}  // namespace

std::string sftp_path(const std::string& path) {
  if (path == "~") return ".";
  return path.starts_with("~/") ? path.substr(2) : path;
}

Sftp::Sftp(const TransferContext& context)
    : command_(context.session, "sftp", context.deadline, context.stop, /*subsystem=*/true) {
  command_.write(u32(5) + static_cast<char>(sftp_init) + u32(3));
  std::string header = command_.read(4);
  if (header.size() < 4) throw Error(ErrorKind::remote, "the machine has no sftp server");
  std::string_view in = header;
  size_t size = take_number(in, 4);
  if (size > 65536) throw Error(ErrorKind::remote, "the machine's sftp server says something else first");
  command_.read(size);
}

uint32_t Sftp::send(int type, const std::string& body) {
  uint32_t id = next_id_++;
  unsent_ += u32(body.size() + 5) + static_cast<char>(type) + u32(id);
  unsent_ += body;
  if (unsent_.size() >= flush_at) flush();
  return id;
}

void Sftp::flush() {
  command_.write(unsent_);
  unsent_.clear();
}

Sftp::Reply Sftp::receive() {
  flush();
  std::string header = command_.read(9);
  if (header.size() < 9) throw Error(ErrorKind::remote, "sftp: the server ended the session");
  std::string_view in = header;
  size_t size = take_number(in, 4);
  if (size < 5 || size > (1 << 20)) throw Error(ErrorKind::remote, "sftp: bad answer");
  Reply reply;
  reply.type = static_cast<int>(take_number(in, 1));
  reply.id = static_cast<uint32_t>(take_number(in, 4));
  reply.body = command_.read(size - 5);
  return reply;
}

void Sftp::expect_ok(const Reply& reply, const std::string& doing) {
  std::string_view in = reply.body;
  if (reply.type != sftp_status) throw Error(ErrorKind::remote, doing + ": sftp: bad answer");
  uint64_t code = take_number(in, 4);
  if (code != 0) throw Error(ErrorKind::remote, fmt::format("{}: sftp: {}", doing, sftp_reason(code)));
}

void Sftp::later(uint32_t id, OnReply then) {
  waiting_.push_back({id, std::move(then)});
  while (waiting_.size() > in_flight) settle_one();
}

void Sftp::later_ok(uint32_t id, std::string doing) {
  later(id, [this, doing = std::move(doing)](const Reply& reply) { expect_ok(reply, doing); });
}

void Sftp::settle_one() {
  Reply reply = receive();
  auto it =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.id == reply.id; });
  if (it == waiting_.end()) throw Error(ErrorKind::remote, "sftp: answer to no question");
  OnReply then = std::move(it->then);
  waiting_.erase(it);
  then(reply);
}

void Sftp::settle_all() {
  while (!waiting_.empty()) settle_one();
}

Sftp::Reply Sftp::call(int type, const std::string& body) {
  std::optional<Reply> answer;
  later(send(type, body), [&](const Reply& reply) { answer = reply; });
  while (!answer) settle_one();
  return std::move(*answer);
}

std::string Sftp::open(const std::string& path, uint32_t flags, int mode) {
  bool writes = (flags & open_write) != 0;
  Reply reply = call(sftp_open, text(path) + u32(flags) + (writes ? mode_attributes(mode) : u32(0)));
  if (reply.type != sftp_handle) expect_ok(reply, "open " + path);
  std::string_view in = reply.body;
  return take_text(in);
}

void Sftp::close_later(const std::string& handle, const std::string& path) {
  later_ok(send(sftp_close, text(handle)), "close " + path);
}

void Sftp::write_content(const std::string& handle, uint64_t size, const std::string& name,
                         const ByteSource& source) {
  uint64_t offset = 0;
  send_exactly_from(source, size, name, [&](std::string_view bytes) {
    while (!bytes.empty()) {
      std::string_view part = bytes.substr(0, chunk);
      later_ok(send(sftp_write, text(handle) + u64(offset) + text(part)), "write " + name);
      offset += part.size();
      bytes.remove_prefix(part.size());
    }
  });
}

void Sftp::upload(const RemoteFile& file, const ByteSource& source) {
  std::string path = sftp_path(file.path);
  std::string handle = open(path, open_write | open_create | open_truncate, file.mode);
  write_content(handle, file.size, path, source);
  later_ok(send(sftp_fsetstat, text(handle) + mode_attributes(file.mode)), "chmod " + path);
  close_later(handle, path);
  settle_all();
  auto there = look(path, true);
  if (there && there->has_size && there->size != file.size && S_ISREG(there->mode)) {
    throw Error(ErrorKind::remote,
                fmt::format("upload {}: {} of {} bytes arrived", path, there->size, file.size));
  }
}

Sftp::Attributes Sftp::read_attributes(std::string_view& in) {
  Attributes out;
  uint64_t flags = take_number(in, 4);
  if (flags & 1) out.size = take_number(in, 8), out.has_size = true;
  if (flags & 2) take_number(in, 8);
  if (flags & 4) out.mode = static_cast<uint32_t>(take_number(in, 4));
  if (flags & 8) take_number(in, 8);
  if (flags & 0x80000000) {
    for (uint64_t count = take_number(in, 4); count > 0; --count) take_text(in), take_text(in);
  }
  return out;
}

std::optional<Sftp::Attributes> Sftp::look(const std::string& path, bool follow) {
  Reply reply = call(follow ? sftp_stat : sftp_lstat, text(path));
  if (reply.type != sftp_attrs) return std::nullopt;
  std::string_view in = reply.body;
  return read_attributes(in);
}

void Sftp::make_directory(const std::string& path, int mode) {
  Reply reply = call(sftp_mkdir, text(path) + mode_attributes(mode));
  std::string_view in = reply.body;
  if (reply.type == sftp_status && take_number(in, 4) == 0) return;
  auto there = look(path, true);
  if (!there || !S_ISDIR(there->mode)) expect_ok(reply, "mkdir " + path);
}

void Sftp::make_directories(const std::string& path) {
  auto there = look(path, true);
  if (there && S_ISDIR(there->mode)) return;
  size_t slash = path.find_last_of('/');
  if (slash != path.npos && slash > 0) make_directories(path.substr(0, slash));
  make_directory(path, 0755);
}

void Sftp::upload_tree(const fs::path& from, const std::string& to, const ProgressFn& progress) {
  std::string path = sftp_path(to);
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  Tree tree = list_tree(from, path);
  make_directories(path);
  send_directories(tree);
  send_files(tree, progress);
  for (const auto& link : tree.links) {
    call(sftp_remove, text(link.remote));
    std::error_code error;
    std::string target = fs::read_symlink(link.local, error).string();
    later_ok(send(sftp_symlink, text(target) + text(link.remote)), "symlink " + link.remote);  // OpenSSH's order
  }
  settle_all();
}

Sftp::Tree Sftp::list_tree(const fs::path& from, const std::string& to) {
  Tree tree;
  tree.directories.push_back({{from, to}});
  for (size_t depth = 0; depth < tree.directories.size(); ++depth) {
    std::vector<LocalFile> below;
    for (const auto& directory : tree.directories[depth]) {
      for (const auto& name : sorted_names(directory.local)) {
        fs::path local = directory.local / name;
        struct stat info = lstat_of(local);
        LocalFile file{local, directory.remote + (directory.remote.ends_with('/') ? "" : "/") + name.string(),
                       static_cast<int>(info.st_mode), static_cast<uint64_t>(info.st_size)};
        if (S_ISDIR(info.st_mode)) {
          below.push_back(std::move(file));
        } else if (S_ISLNK(info.st_mode)) {
          tree.links.push_back(std::move(file));
        } else if (S_ISREG(info.st_mode)) {
          tree.bytes += file.size;
          tree.files.push_back(std::move(file));
        }
      }
    }
    if (!below.empty()) tree.directories.push_back(std::move(below));
  }
  return tree;
}

/// All of one depth at once: those below wait until these are there.
void Sftp::send_directories(const Tree& tree) {
  for (size_t depth = 1; depth < tree.directories.size(); ++depth) {
    std::vector<std::pair<const LocalFile*, Reply>> refused;
    for (const auto& directory : tree.directories[depth]) {
      later(send(sftp_mkdir, text(directory.remote) + mode_attributes(directory.mode)),
            [&refused, &directory](const Reply& reply) {
              std::string_view in = reply.body;
              if (reply.type != sftp_status || take_number(in, 4) != 0) refused.emplace_back(&directory, reply);
            });
    }
    settle_all();
    for (const auto& [directory, reply] : refused) {
      auto there = look(directory->remote, true);
      if (!there || !S_ISDIR(there->mode)) expect_ok(reply, "mkdir " + directory->remote);
    }
  }
}

/// Files are opened ahead while those that are open are sent, so that the way there and back is not waited for. As new
/// ones first: of what is new, less has to be said (set_mode).
void Sftp::send_files(const Tree& tree, const ProgressFn& progress) {
  uint64_t done = 0;
  auto sent = [&](uint64_t bytes) {
    done += bytes;
    if (progress) progress(done, tree.bytes);
  };
  std::deque<OpenFile> opened;
  std::vector<const LocalFile*> there_already;
  auto ask = [&](const LocalFile& file, bool as_new) {
    uint32_t flags = open_write | open_create | (as_new ? open_exclusive : open_truncate);
    later(send(sftp_open, text(file.remote) + u32(flags) + mode_attributes(file.mode)),
          [this, &opened, &there_already, &file, as_new](const Reply& reply) {
            if (reply.type != sftp_handle && as_new) return there_already.push_back(&file);
            if (reply.type != sftp_handle) expect_ok(reply, "open " + file.remote);
            std::string_view in = reply.body;
            opened.push_back({&file, take_text(in), as_new});
          });
  };
  size_t asked = 0, finished = 0;
  while (finished < tree.files.size()) {
    while (asked < tree.files.size() && asked - finished < open_ahead) ask(tree.files[asked++], true);
    for (const LocalFile* file : std::exchange(there_already, {})) ask(*file, false);
    while (opened.empty() && there_already.empty()) settle_one();
    if (opened.empty()) continue;
    OpenFile open = std::move(opened.front());
    opened.pop_front();
    send_content(open, sent);
    ++finished;
  }
  settle_all();
}

/// What is there keeps its mode, and a new file may not get all of the one it was opened with. Once a new file was seen
/// to, the others need not be told again.
void Sftp::set_mode(const OpenFile& open) {
  int mode = open.file->mode & 07777;
  bool may_hold = open.is_new && (mode & 07000) == 0;  // writing takes set-uid bits off
  if (may_hold) {
    auto [known, first] = new_files_get_.emplace(mode, false);
    if (known->second) return;
    if (first) {
      later(send(sftp_fstat, text(open.handle)), [this, mode](const Reply& reply) {
        if (reply.type != sftp_attrs) return;
        std::string_view in = reply.body;
        new_files_get_[mode] = static_cast<int>(read_attributes(in).mode & 07777) == mode;
      });
    }
  }
  later_ok(send(sftp_fsetstat, text(open.handle) + mode_attributes(mode)), "chmod " + open.file->remote);
}

void Sftp::send_content(const OpenFile& open, const std::function<void(uint64_t)>& sent) {
  const LocalFile& file = *open.file;
  Fd fd(::open(file.local.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open())
    throw Error(ErrorKind::user, fmt::format("open {}: {}", file.local.string(), go_errno_text(errno)));
  write_content(open.handle, file.size, file.local.string(), [&](char* buffer, size_t size) {
    ssize_t n = ::read(fd.get(), buffer, size);
    if (n < 0)
      throw Error(ErrorKind::user, fmt::format("read {}: {}", file.local.string(), go_errno_text(errno)));
    sent(static_cast<uint64_t>(n));
    return static_cast<size_t>(n);
  });
  set_mode(open);
  close_later(open.handle, file.remote);
}

void Sftp::download(const std::string& given, const Sink& out) {
  std::string path = sftp_path(given);
  std::string handle = open(path, open_read, 0);
  uint64_t next = 0, offset = 0;
  std::deque<uint32_t> asked;
  std::map<uint32_t, Reply> early;
  bool ended = false;
  while (!ended || !asked.empty()) {
    while (!ended && asked.size() < reads_in_flight) {
      asked.push_back(send(sftp_read, text(handle) + u64(next) + u32(chunk)));
      next += chunk;
    }
    while (early.find(asked.front()) == early.end()) {
      Reply reply = receive();
      early[reply.id] = std::move(reply);
    }
    Reply reply = std::move(early[asked.front()]);
    early.erase(asked.front());
    asked.pop_front();
    if (reply.type == sftp_data && !ended) {
      std::string_view in = reply.body;
      std::string bytes = take_text(in);
      offset += bytes.size();
      out(bytes);
      if (bytes.size() == chunk) continue;
      // A short answer: what was asked beyond it is thrown away and asked again from here.
      while (!asked.empty()) {
        if (early.erase(asked.front()) == 0) {
          Reply rest = receive();
          if (rest.id != asked.front())
            early[rest.id] = std::move(rest);
          else
            asked.pop_front();
          continue;
        }
        asked.pop_front();
      }
      next = offset;
    } else if (reply.type == sftp_status) {
      std::string_view in = reply.body;
      if (take_number(in, 4) != at_end && !ended) expect_ok(reply, "read " + path);
      ended = true;
    }
  }
  close_later(handle, path);
  settle_all();
}

std::vector<Sftp::Entry> Sftp::list(const std::string& path) {
  Reply opened = call(sftp_opendir, text(path));
  if (opened.type != sftp_handle) expect_ok(opened, "open " + path);
  std::string_view handle_bytes = opened.body;
  std::string handle = take_text(handle_bytes);
  std::vector<Entry> entries;
  for (;;) {
    Reply reply = call(sftp_readdir, text(handle));
    std::string_view in = reply.body;
    if (reply.type != sftp_name) {
      if (take_number(in, 4) != at_end) expect_ok(reply, "read " + path);
      break;
    }
    for (uint64_t count = take_number(in, 4); count > 0; --count) {
      Entry entry;
      entry.name = take_text(in);
      take_text(in);  // the long form
      entry.attributes = read_attributes(in);
      if (entry.name != "." && entry.name != "..") entries.push_back(std::move(entry));
    }
  }
  close_later(handle, path);
  settle_all();
  return entries;
}

void Sftp::download_tree(const std::string& from, const fs::path& to) {
  fetch_directory(sftp_path(from), to);
}

void Sftp::fetch_directory(const std::string& from, const fs::path& to) {
  fs::create_directories(to);
  for (const auto& [name, attributes] : list(from)) {
    if (name.empty() || contains(name, "/"))
      throw Error(ErrorKind::remote, "sftp: bad name " + go_quote(name));
    std::string remote = fmt::format("{}{}{}", from, from.ends_with('/') ? "" : "/", name);
    fs::path local = to / name;
    if (S_ISDIR(attributes.mode)) {
      fetch_directory(remote, local);
      ::chmod(local.c_str(), (attributes.mode & 07777) | 0700);
    } else if (S_ISLNK(attributes.mode)) {
      Reply reply = call(sftp_readlink, text(remote));
      std::string_view in = reply.body;
      if (reply.type != sftp_name || take_number(in, 4) == 0) expect_ok(reply, "readlink " + remote);
      std::error_code error;
      fs::remove(local, error);
      fs::create_symlink(take_text(in), local);
    } else if (S_ISREG(attributes.mode)) {
      Fd fd(::open(local.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
      if (!fd.is_open()) {
        throw Error(ErrorKind::environment, fmt::format("open {}: {}", local.string(), go_errno_text(errno)));
      }
      download(remote, [&](std::string_view bytes) { write_all(fd.get(), bytes); });
      ::fchmod(fd.get(), attributes.mode & 07777);
    }
  }
}

}  // namespace kiln
