// The store of images: what was built, from what, with which inputs and tests. Content by digest, kept once; an
// index in SQLite. Format: docs/formats/images.md. Ours, not Packer's.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/wait.h"
#include "core/artifact.h"
#include "core/journal.h"
#include "lang/value.h"

namespace kiln {

/// A file of an image.
struct ImageFile {
  std::string path;    ///< absolute: where it was built, and where it is put back
  std::string digest;  ///< sha256, hex
  uint64_t size = 0;   ///< bytes
  int mode = 0644;
};

/// One image of the store. A plain value.
struct ImageRecord {
  std::string id;           ///< 12 lower-case letters and digits, random; given by add()
  std::string key;          ///< digest of everything the image was made from; empty: not known
  Value inputs;             ///< the document the key is the digest of
  std::string name;         ///< "atlas/app": pipeline and stage, or the build's name
  std::string builder_type; ///< "qemu": which builder can start it again
  std::string builder_id;   ///< of the artifact
  std::string artifact_id;
  std::string description;
  Value state;              ///< of the artifact
  Value fresh_machine;      ///< Builder::fresh_machine's configuration, secrets left out; null: cannot be started
  std::vector<ImageFile> files;
  std::string digest;       ///< of the content: sha256 over the files' digests in order; empty without files
  std::vector<std::string> parents;  ///< ids of the images it was made from
  Value tests;              ///< {"passed": n, "failed": n, "skipped": n, "at": ...} of its last test; null: never
  std::string log;          ///< path of the log of its build; may be gone
  std::vector<std::string> tags;
  std::chrono::system_clock::time_point made{};
};

/// What `verify` found wrong with one image.
struct ImageDamage {
  std::string id;
  std::string path;
  std::string what;  ///< "missing", "content differs", ...
};

struct PrunePolicy {
  size_t keep = 0;  ///< newest images of each name that stay whatever their age
  std::optional<std::chrono::seconds> older_than;
};

/// Contract: safe between processes and threads; nothing half-written is ever found by a lookup; every change is
/// durable when the call returns. Throws Error{environment} with what to do when the store cannot be used.
class ImageStore {
 public:
  virtual ~ImageStore() = default;
  /// Takes the artifact's files (regular ones) in: by reflink where the file system can, else by hard link if they
  /// are large, else by copy; they stay where they are, as they are. A hard-linked file that is later written to in
  /// place (by booting it, say) takes the store's content with it: that is seen at the next lookup, the image is then
  /// no longer found by its key, and nothing wrong is ever handed out. Fills id, files, digest and made, and returns
  /// the whole record.
  virtual ImageRecord add(ImageRecord record, const std::vector<std::string>& files, const Stop& stop) = 0;
  /// The newest image with that key whose content is whole.
  virtual std::optional<ImageRecord> find_by_key(const std::string& key) = 0;
  /// The newest image of that name.
  virtual std::optional<ImageRecord> newest(const std::string& name) = 0;
  /// By id (or a beginning of one that is unique), tag, name (the newest), or path of one of its files. Throws
  /// Error{user} "no image ..." with the nearest name.
  virtual ImageRecord get(const std::string& reference) = 0;
  /// Newest first.
  virtual std::vector<ImageRecord> list() = 0;
  /// Sees to it that the image's files are at their paths with their content, putting back what is gone or
  /// differs. Cheap when nothing changed (size, mtime, inode are looked at). Returns whether anything was put back.
  /// Throws Error{environment} when the store's own content is lost.
  virtual bool restore(const ImageRecord& record, const Stop& stop) = 0;
  virtual void set_tests(const std::string& id, const Value& tests) = 0;
  /// What the artifact is called and says of itself now: it has been copied, say. Its files stay what they
  /// are.
  virtual void set_artifact(const ImageRecord& record) = 0;
  virtual void tag(const std::string& id, const std::string& tag) = 0;    ///< moves it from another image
  virtual void untag(const std::string& tag) = 0;
  /// Forgets the image and deletes content that nobody else has. The files at their paths go too when `files` is
  /// set and they are still what was built. Throws Error{user} when it is a parent of another image.
  virtual void remove(const std::string& id, bool files) = 0;
  /// What prune would remove, each before its parents, else oldest first: never a tagged image nor a parent of one
  /// that stays.
  virtual std::vector<ImageRecord> prunable(const PrunePolicy& policy) = 0;
  /// Reads all content of the image and compares digests. `progress` as in Ui::progress.
  virtual std::vector<ImageDamage> verify(const ImageRecord& record,
                                          const std::function<void(uint64_t done, uint64_t total)>& progress,
                                          const Stop& stop) = 0;
  /// A tar with the record (record.json first) and the files; zstd when the name ends in .zst.
  virtual void export_image(const ImageRecord& record, const std::filesystem::path& to, const Stop& stop) = 0;
  /// The files are put below `directory`, where none of them may be. The id stays unless an image here has it; tags
  /// that are in use here are dropped.
  virtual ImageRecord import_image(const std::filesystem::path& from, const std::filesystem::path& directory,
                                   const Stop& stop) = 0;
};

/// The image as an artifact that was built before; destroying it deletes its files, and the directory they leave empty.
Artifact artifact_of_image(const ImageRecord& record);
/// Describes the artifact in the record, without secrets; returns its files, to be added. An id that is a path becomes
/// an absolute one.
std::vector<std::string> describe_artifact(const Artifact& artifact, ImageRecord& record);

/// Opens (makes) the store below `directory`. What is half-written is entered into `journal` (borrowed; it outlives
/// the store); without one, what a killed process leaves is swept when the store is next opened.
std::unique_ptr<ImageStore> open_image_store(const std::filesystem::path& directory, Journal* journal = nullptr);
/// KILN_STORE_DIR, else $XDG_DATA_HOME/kiln/images, else ~/.local/share/kiln/images.
std::filesystem::path image_store_directory();

/// Digests of files, remembered by path, inode, size, mtime and ctime: a file is read once while it stays the same.
/// Safe between threads and processes. A file changed within the last two seconds is not remembered: it may change
/// again within its time stamp's grain.
class FileDigests {
 public:
  virtual ~FileDigests() = default;
  /// sha256, hex. Throws what reading throws.
  virtual std::string of_file(const std::filesystem::path& path) = 0;
  /// Remembers a digest that was just made of the file by whoever wrote it.
  virtual void note(const std::filesystem::path& path, const std::string& digest) = 0;
};
/// Remembered in digests.db in `directory` (the state directory). A damaged file is begun anew: it only saves work.
std::unique_ptr<FileDigests> open_file_digests(const std::filesystem::path& directory);

}  // namespace kiln
