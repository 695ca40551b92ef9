// The content of the store of images: files by digest, and how they get in and out. Knows no index: who may
// be where is image_store.cc's.
#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/wait.h"
#include "core/journal.h"

namespace kiln {

/// By what a file is known not to have changed since it was read. A plain value.
struct FileStamp {
  uint64_t size = 0;
  uint64_t inode = 0;
  int64_t mtime = 0;  ///< ns since 1970; 0: it was so young when it was read that it may have changed since
  bool operator==(const FileStamp&) const = default;
  /// Whether a file that looks so now is the one that was read.
  bool proves(const FileStamp& now) const { return mtime != 0 && *this == now; }
};

/// nullopt: there is no regular file.
std::optional<FileStamp> look_at(const std::filesystem::path& file);
/// To be kept after reading the file: mtime is 0 when it changed within the last two seconds, a time stamp's
/// grain.
FileStamp settled(FileStamp stamp);

/// Bytes done of one file.
using DigestProgress = std::function<void(uint64_t done)>;
/// sha256 of a file; ends by Error{cancelled} on Stop.
std::string file_sha256(const std::filesystem::path& file, const DigestProgress& progress,
                           const Stop& stop);

/// A journaled path of something half-written. Without a journal it does nothing.
class JournaledPath {
 public:
  JournaledPath(Journal* journal, const std::filesystem::path& path);
  ~JournaledPath();
  JournaledPath(const JournaledPath&) = delete;
  JournaledPath& operator=(const JournaledPath&) = delete;

 private:
  Journal* journal_;
  int64_t id_ = 0;
};

/// A directory below tmp/ where one process writes. It is locked while that process lives, and journaled;
/// goes with all in it.
class ImageIntake {
 public:
  ImageIntake(const std::filesystem::path& tmp, Journal* journal);
  ~ImageIntake();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::unique_ptr<JournaledPath> journaled_;
  Fd lock_;
};

/// A file that was taken in but is not yet an object.
struct TakenFile {
  std::filesystem::path temp;  ///< below the intake
  std::string digest;
  int mode = 0;
  FileStamp source;  ///< of the file that was given
  FileStamp object;  ///< of `temp`
};

/// The files below objects/ and tmp/. Thread-safe: it holds no state. Throws Error{environment}.
class ImageObjects {
 public:
  ImageObjects(std::filesystem::path directory, Journal* journal)
      : directory_(std::move(directory)), journal_(journal) {}
  std::filesystem::path path_of(const std::string& digest) const;
  std::unique_ptr<ImageIntake> begin_intake() const;
  /// Shares, links or copies the file into the intake, synced, and digests it. Throws Error{environment} when
  /// it changes meanwhile.
  TakenFile take(const ImageIntake& intake, const std::filesystem::path& file, const Stop& stop) const;
  /// Gives it its name below objects/, durably. Held against others by the caller.
  void publish(const TakenFile& file) const;
  /// Puts the object at `to`, by sharing, by a link or as a copy; never half a file there.
  void put(const std::string& digest, const std::filesystem::path& to, int mode, const Stop& stop) const;
  void remove(const std::string& digest) const;
  /// Removes intakes whose process is gone; whether there were any.
  bool sweep_intakes() const;
  /// Removes objects that `is_known` does not know. Held against others by the caller.
  void sweep_objects(const std::function<bool(const std::string& digest)>& is_known) const;

 private:
  std::filesystem::path directory_;
  Journal* journal_;
};

/// What failed, with what to do about a full disk or missing permission.
[[noreturn]] void throw_store_errno(const std::string& what, int error);

}  // namespace kiln
