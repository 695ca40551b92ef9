// The index of the store of images: rows of SQLite, as docs/formats/images.md says. Touches no file but its
// own.
#pragma once
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/sqlite.h"
#include "core/image_objects.h"
#include "core/image_store.h"

namespace kiln {

/// What the index knows of an object.
struct ObjectRow {
  FileStamp stamp;
  bool damaged = false;  ///< its content was seen to differ from its name
  bool operator==(const ObjectRow&) const = default;
};

/// Thread-safe and safe between processes. What changes it is durable when the call returns, but for what is noted.
/// Throws Error{environment}.
class ImageIndex {
 public:
  explicit ImageIndex(const std::filesystem::path& file);
  /// Writes what is noted.
  ~ImageIndex();

  // What reading a file has shown only saves reading it again. It is known at once and written, all of it in one
  // transaction, with the next change or at the end: a run that looks at many images does not sync the disk for each.
  // A process that is killed before reads once more.
  /// `now` in the place of `before`; what another process has said of it meanwhile stays.
  void note_object(const std::string& digest, const ObjectRow& before, const ObjectRow& now);
  void note_path(const std::string& id, size_t file, const FileStamp& stamp);

  /// Runs f(Write&) with every other writer of every process kept out; what it throws takes all of it back.
  class Write;
  template <class F>
  void write(F&& f);

  std::optional<ImageRecord> by_id(const std::string& id);
  std::vector<ImageRecord> by_key(const std::string& key);  ///< newest first
  std::optional<ImageRecord> newest(const std::string& name);
  std::vector<ImageRecord> all();                           ///< newest first
  /// What the files at the image's paths looked like when they were last seen whole, in the order of its
  /// files.
  std::vector<FileStamp> path_stamps(const std::string& id);
  std::optional<ObjectRow> object(const std::string& digest);
  std::optional<std::string> tagged(const std::string& tag);
  std::vector<std::string> children(const std::string& id);
  /// Whether another image than `id` has that file.
  bool is_path_shared(const std::string& id, const ImageFile& file);
  bool read_only();

 private:
  ImageRecord read(Statement& row);
  std::vector<ImageRecord> select(const char* where, const std::string* argument);

  struct NotedObject {
    ObjectRow before;  ///< as it is in the file
    ObjectRow now;
  };
  std::mutex mutex_;
  Database db_;
  std::map<std::string, NotedObject> noted_objects_;
  std::map<std::string, std::map<size_t, FileStamp>> noted_paths_;  ///< by image and ordinal of its file
};

/// The changes. Lives within ImageIndex::write.
class ImageIndex::Write {
 public:
  explicit Write(ImageIndex& index) : db_(index.db_) {}
  /// Everything that `index` has noted.
  void take_notes(const ImageIndex& index);
  void insert(const ImageRecord& record, const std::vector<FileStamp>& path_stamps);
  void set_path_stamp(const std::string& id, size_t file, const FileStamp& stamp);
  void set_object(const std::string& digest, const ObjectRow& row);
  std::optional<ObjectRow> object(const std::string& digest);
  void set_tests(const std::string& id, const Value& tests);
  void set_artifact(const ImageRecord& record);
  void tag(const std::string& id, const std::string& tag);
  bool untag(const std::string& tag);
  bool has(const std::string& id);
  std::vector<std::string> children(const std::string& id);
  /// The image and the rows of objects that no image has any more.
  void remove(const std::string& id);
  std::vector<std::string> objects();

 private:
  Database& db_;
};

template <class F>
void ImageIndex::write(F&& f) {
  std::lock_guard lock(mutex_);
  Transaction transaction(db_);
  Write write(*this);
  write.take_notes(*this);
  f(write);
  transaction.commit();
  noted_objects_.clear();
  noted_paths_.clear();
}

/// Values of a record as they are kept: what is secret is left out.
std::string stored_json(const Value& value);
/// What stored_json made. Throws Error{environment}, naming `what`, when it is no JSON.
Value parse_stored_json(const std::string& text, const std::string& what);

}  // namespace kiln
