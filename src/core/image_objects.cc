#include "core/image_objects.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sparse.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr auto time_stamp_grain = std::chrono::seconds(2);
constexpr mode_t permission_bits = 07777;
constexpr mode_t object_mode = 0444;
/// Up to here a copy costs less than content that goes when somebody writes to the output.
constexpr off_t copied_always = 16 << 20;

FileStamp stamp_of(const struct stat& status) {
  return {static_cast<uint64_t>(status.st_size), static_cast<uint64_t>(status.st_ino),
          int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

struct stat status_of(int fd, const fs::path& file) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_store_errno("look at " + file.string(), errno);
  return status;
}

Fd open_to_read(const fs::path& file) {
  Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) throw_store_errno("open " + file.string(), errno);
  return fd;
}

void sync_file(int fd, const fs::path& file) {
  if (::fsync(fd) != 0) throw_store_errno("write " + file.string(), errno);
}

/// Makes a rename or a new name in it durable.
void sync_directory(const fs::path& directory) {
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.is_open()) ::fsync(fd.get());  // not every file system can
}

void make_directories(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) throw_store_errno("make " + directory.string(), error.value());
}

/// A new file at `to` that shares the data of `from` or, unless `only_shared`, is a copy of it. False, and
/// nothing there: it could not share.
bool write_copy(int from, const fs::path& to, mode_t mode, bool only_shared, const Stop& stop) {
  Fd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out.is_open()) throw_store_errno("write " + to.string(), errno);
  bool shared = share_content(from, out.get());
  if (!shared && only_shared) {
    out.reset();
    ::unlink(to.c_str());
    return false;
  }
  if (!shared) {
    int error = copy_content(from, out.get(), [&](uint64_t) { stop.check(); });
    if (error != 0) throw_store_errno("write " + to.string(), error);
  }
  if (::fchmod(out.get(), mode) != 0) throw_store_errno("write " + to.string(), errno);
  sync_file(out.get(), to);
  return true;
}

/// By its descriptor: the file that is digested is the one that is linked, whatever happens to its name.
bool link_open_file(int fd, const fs::path& to) {
  std::string name = fmt::format("/proc/self/fd/{}", fd);
  return ::linkat(AT_FDCWD, name.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

bool is_locked_by_nobody(int fd) { return ::flock(fd, LOCK_EX | LOCK_NB) == 0; }

}  // namespace

[[noreturn]] void throw_store_errno(const std::string& what, int error) {
  std::string text = fmt::format("{}: {}", what, go_errno_text(error));
  if (error == ENOSPC || error == EDQUOT) {
    text += ". `kiln images prune` makes room; KILN_STORE_DIR puts the store of images elsewhere";
  } else if (error == EACCES || error == EPERM || error == EROFS) {
    text += ". Set KILN_STORE_DIR to a directory you may write to";
  }
  throw Error(ErrorKind::environment, text);
}

std::optional<FileStamp> look_at(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return stamp_of(status);
}

FileStamp settled(FileStamp stamp) {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  if (std::chrono::nanoseconds(stamp.mtime) + time_stamp_grain > now) stamp.mtime = 0;
  return stamp;
}

std::string file_sha256(const fs::path& file, const DigestProgress& progress, const Stop& stop) {
  return file_digest_hex("sha256", file, [&](uint64_t done) {
    stop.check();
    if (progress) progress(done);
  });
}

JournaledPath::JournaledPath(Journal* journal, const fs::path& path) : journal_(journal) {
  if (journal_ != nullptr) id_ = journal_->append(ResourceKind::path, path.string(), "").id;
}

JournaledPath::~JournaledPath() {
  try {
    if (journal_ != nullptr) journal_->remove(id_);
  } catch (const std::exception&) {
    // The entry stays; `kiln gc` finds its path gone.
  }
}

ImageIntake::ImageIntake(const fs::path& tmp, Journal* journal) {
  make_directories(tmp);
  for (int turn = 0; turn < 10; ++turn) {
    path_ = tmp / hex_encode(random_bytes(8));
    journaled_ = std::make_unique<JournaledPath>(journal, path_);
    if (::mkdir(path_.c_str(), 0700) != 0) throw_store_errno("make " + path_.string(), errno);
    lock_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Another process that sweeps may have been between the two: then the directory is gone.
    if (lock_.is_open() && is_locked_by_nobody(lock_.get()) && fs::exists(path_)) return;
  }
  throw Error(ErrorKind::environment, "cannot lock a directory in " + tmp.string());
}

ImageIntake::~ImageIntake() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path ImageObjects::path_of(const std::string& digest) const {
  return directory_ / "objects" / digest.substr(0, 2) / digest;
}

std::unique_ptr<ImageIntake> ImageObjects::begin_intake() const {
  return std::make_unique<ImageIntake>(directory_ / "tmp", journal_);
}

TakenFile ImageObjects::take(const ImageIntake& intake, const fs::path& file, const Stop& stop) const {
  Fd source = open_to_read(file);
  struct stat before = status_of(source.get(), file);
  if (!S_ISREG(before.st_mode)) {
    throw Error(ErrorKind::user,
                fmt::format("{} is no regular file: the store of images takes files only", file.string()));
  }
  TakenFile taken;
  taken.temp = intake.path() / hex_encode(random_bytes(8));
  taken.mode = static_cast<int>(before.st_mode & permission_bits);
  bool linked = false;
  if (!write_copy(source.get(), taken.temp, object_mode, true, stop)) {
    linked = before.st_size > copied_always && link_open_file(source.get(), taken.temp);
    if (!linked) write_copy(source.get(), taken.temp, object_mode, false, stop);
  }
  // The disk writes while the content is digested.
  if (linked) ::sync_file_range(source.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
  taken.digest = file_sha256(taken.temp, {}, stop);
  if (linked) sync_file(source.get(), file);
  FileStamp after = stamp_of(status_of(source.get(), file));
  if (!(after == stamp_of(before))) {
    throw Error(ErrorKind::environment,
                fmt::format("{} changed while it was taken into the store: something still writes to it",
                            file.string()));
  }
  taken.source = settled(after);
  taken.object = settled(look_at(taken.temp).value());
  return taken;
}

void ImageObjects::publish(const TakenFile& file) const {
  fs::path object = path_of(file.digest);
  make_directories(object.parent_path());
  if (::rename(file.temp.c_str(), object.c_str()) != 0) throw_store_errno("write " + object.string(), errno);
  sync_directory(object.parent_path());
  sync_directory(object.parent_path().parent_path());
}

void ImageObjects::put(const std::string& digest, const fs::path& to, int mode, const Stop& stop) const {
  fs::path object = path_of(digest);
  Fd source = open_to_read(object);
  if (fs::is_directory(to))
    throw Error(ErrorKind::environment,
                to.string() + " is a directory: the image's file cannot be put there");
  make_directories(to.parent_path());
  fs::path temp = to.parent_path() / (".kiln-" + hex_encode(random_bytes(8)));
  JournaledPath journaled(journal_, temp);
  try {
    auto wanted = static_cast<mode_t>(mode) & permission_bits;
    // A link has the object's mode: where that is not the wanted one, it would have to be changed for both.
    bool same_mode = (status_of(source.get(), object).st_mode & permission_bits) == wanted;
    if (!write_copy(source.get(), temp, wanted, true, stop) &&
        !(same_mode && link_open_file(source.get(), temp))) {
      write_copy(source.get(), temp, wanted, false, stop);
    }
    // Renaming one link of a file over another one does nothing and leaves both.
    if (::rename(temp.c_str(), to.c_str()) != 0) throw_store_errno("write " + to.string(), errno);
    ::unlink(temp.c_str());
  } catch (...) {
    ::unlink(temp.c_str());
    throw;
  }
  sync_directory(to.parent_path());
}

void ImageObjects::remove(const std::string& digest) const {
  fs::path object = path_of(digest);
  if (::unlink(object.c_str()) != 0 && errno != ENOENT) throw_store_errno("remove " + object.string(), errno);
  ::rmdir(object.parent_path().c_str());  // if it was the last one
}

bool ImageObjects::sweep_intakes() const {
  bool found = false;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_ / "tmp", error)) {
    Fd fd(::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.is_open() || !is_locked_by_nobody(fd.get())) continue;
    fs::remove_all(entry.path(), error);
    found = true;
  }
  return found;
}

void ImageObjects::sweep_objects(const std::function<bool(const std::string&)>& is_known) const {
  std::error_code error;
  for (const auto& group : fs::directory_iterator(directory_ / "objects", error)) {
    if (!group.is_directory(error)) continue;
    std::vector<std::string> strays;
    for (const auto& entry : fs::directory_iterator(group.path(), error)) {
      std::string digest = entry.path().filename().string();
      if (!is_known(digest) && path_of(digest) == entry.path()) strays.push_back(digest);
    }
    for (const auto& digest : strays) remove(digest);
  }
}

}  // namespace kiln
