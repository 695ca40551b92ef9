#include "core/image_index.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "lang/packer_json.h"

namespace kiln {

namespace {

constexpr const char* index_tables[] = {
    "CREATE TABLE image (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, "
    "name TEXT NOT NULL, made INTEGER NOT NULL, builder_type TEXT NOT NULL, builder_id TEXT NOT NULL, "
    "artifact_id TEXT NOT NULL, description TEXT NOT NULL, digest TEXT NOT NULL, log TEXT NOT NULL, "
    "inputs TEXT NOT NULL, state TEXT NOT NULL, fresh_machine TEXT NOT NULL, tests TEXT NOT NULL)",
    "CREATE TABLE file (image INTEGER NOT NULL REFERENCES image (seq) ON DELETE CASCADE, ordinal INTEGER NOT "
    "NULL, "
    "path TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, mode INTEGER NOT NULL, inode INTEGER "
    "NOT NULL, "
    "mtime INTEGER NOT NULL, PRIMARY KEY (image, ordinal))",
    "CREATE TABLE object (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, inode INTEGER NOT NULL, "
    "mtime INTEGER NOT NULL, damaged INTEGER NOT NULL)",
    "CREATE TABLE parent (image INTEGER NOT NULL REFERENCES image (seq) ON DELETE CASCADE, ordinal INTEGER "
    "NOT NULL, "
    "parent TEXT NOT NULL, PRIMARY KEY (image, ordinal))",
    "CREATE TABLE tag (tag TEXT PRIMARY KEY, image INTEGER NOT NULL REFERENCES image (seq) ON DELETE "
    "CASCADE)",
    "CREATE INDEX image_by_key ON image (key)",
    "CREATE INDEX image_by_name ON image (name)",
    "CREATE INDEX file_by_digest ON file (digest)",
    "CREATE INDEX file_by_path ON file (path)",
    "CREATE INDEX parent_by_parent ON parent (parent)",
    "CREATE INDEX tag_by_image ON tag (image)",
};

DatabaseOptions index_options() {
  DatabaseOptions options;
  options.what = "the index of the store of images";
  options.advice =
      "Set KILN_STORE_DIR to a directory you may write to, or move this one away: what is in it can be built "
      "again";
  options.upgrade = [](Database& db, int) {
    for (const char* table : index_tables) db.execute(table);
  };
  return options;
}

constexpr const char* image_columns =
    "SELECT seq, id, key, name, made, builder_type, builder_id, artifact_id, description, digest, log, "
    "inputs, state, "
    "fresh_machine, tests FROM image ";

std::optional<ObjectRow> select_object(Database& db, const std::string& digest) {
  Statement select(db, "SELECT size, inode, mtime, damaged FROM object WHERE digest = ?");
  if (!select.bind(digest).step()) return std::nullopt;
  return ObjectRow{
      {static_cast<uint64_t>(select.number(0)), static_cast<uint64_t>(select.number(1)), select.number(2)},
      select.number(3) != 0};
}

std::vector<std::string> column(Statement& select) {
  std::vector<std::string> texts;
  while (select.step()) texts.push_back(select.text(0));
  return texts;
}

std::vector<std::string> select_children(Database& db, const std::string& id) {
  Statement select(db,
                   "SELECT DISTINCT image.id FROM parent JOIN image ON image.seq = parent.image "
                   "WHERE parent.parent = ? ORDER BY image.seq");
  return column(select.bind(id));
}

Value without_secrets(const Value& value) {
  if (value.secret) return "<sensitive>";
  if (value.is_list()) {
    Value::List items;
    for (const auto& item : value.as_list()) items.push_back(without_secrets(item));
    return items;
  }
  if (value.is_object()) {
    Value::Object members;
    for (const auto& member : value.as_object())
      members.push_back({member.key, without_secrets(member.value), {}});
    return members;
  }
  return value;
}

}  // namespace

std::string stored_json(const Value& value) { return to_json(without_secrets(value)); }

Value parse_stored_json(const std::string& text, const std::string& what) {
  Diagnostics diagnostics;
  Value value = parse_first_json(std::make_shared<SourceFile>(SourceFile{what, text}), diagnostics);
  if (diagnostics.has_errors()) {
    throw Error(ErrorKind::environment, fmt::format("{}: {}", what, diagnostics.items()[0].summary));
  }
  return value;
}

ImageIndex::ImageIndex(const fs::path& file) : db_(file, index_options()) {}

ImageIndex::~ImageIndex() {
  try {
    bool any = !noted_objects_.empty() || !noted_paths_.empty();
    if (any && !db_.read_only()) write([](Write&) {});
  } catch (const std::exception&) {
    // A full disk, say: the files are then read again.
  }
}

void ImageIndex::note_object(const std::string& digest, const ObjectRow& before, const ObjectRow& now) {
  std::lock_guard lock(mutex_);
  auto& noted = noted_objects_[digest];
  noted = {noted.now == before ? noted.before : before, now};
}

void ImageIndex::note_path(const std::string& id, size_t file, const FileStamp& stamp) {
  std::lock_guard lock(mutex_);
  noted_paths_[id][file] = stamp;
}

ImageRecord ImageIndex::read(Statement& row) {
  ImageRecord record;
  int64_t seq = row.number(0);
  record.id = row.text(1);
  record.key = row.text(2);
  record.name = row.text(3);
  record.made =
      std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::nanoseconds(row.number(4))));
  record.builder_type = row.text(5);
  record.builder_id = row.text(6);
  record.artifact_id = row.text(7);
  record.description = row.text(8);
  record.digest = row.text(9);
  record.log = row.text(10);
  auto value = [&](int at) {
    return parse_stored_json(row.text(at), fmt::format("image {} in {}", record.id, db_.file().string()));
  };
  record.inputs = value(11);
  record.state = value(12);
  record.fresh_machine = value(13);
  record.tests = value(14);
  Statement files(db_, "SELECT path, digest, size, mode FROM file WHERE image = ? ORDER BY ordinal");
  for (files.bind(seq); files.step();) {
    record.files.push_back({files.text(0), files.text(1), static_cast<uint64_t>(files.number(2)),
                            static_cast<int>(files.number(3))});
  }
  Statement parents(db_, "SELECT parent FROM parent WHERE image = ? ORDER BY ordinal");
  record.parents = column(parents.bind(seq));
  Statement tags(db_, "SELECT tag FROM tag WHERE image = ? ORDER BY tag");
  record.tags = column(tags.bind(seq));
  return record;
}

std::vector<ImageRecord> ImageIndex::select(const char* where, const std::string* argument) {
  std::lock_guard lock(mutex_);
  Statement images(db_, (std::string(image_columns) + where + " ORDER BY made DESC, seq DESC").c_str());
  if (argument != nullptr) images.bind(*argument);
  std::vector<ImageRecord> records;
  while (images.step()) records.push_back(read(images));
  return records;
}

std::optional<ImageRecord> ImageIndex::by_id(const std::string& id) {
  auto found = select("WHERE id = ?", &id);
  return found.empty() ? std::nullopt : std::optional(std::move(found[0]));
}

std::vector<ImageRecord> ImageIndex::by_key(const std::string& key) { return select("WHERE key = ?", &key); }
std::optional<ImageRecord> ImageIndex::newest(const std::string& name) {
  auto found = select("WHERE seq = (SELECT seq FROM image WHERE name = ? ORDER BY made DESC, seq DESC LIMIT 1)", &name);
  return found.empty() ? std::nullopt : std::optional(std::move(found[0]));
}

std::vector<ImageRecord> ImageIndex::all() { return select("", nullptr); }

std::vector<FileStamp> ImageIndex::path_stamps(const std::string& id) {
  std::lock_guard lock(mutex_);
  Statement select(
      db_,
      "SELECT file.size, inode, mtime FROM file JOIN image ON image.seq = file.image WHERE id = ? "
      "ORDER BY ordinal");
  std::vector<FileStamp> stamps;
  for (select.bind(id); select.step();) {
    stamps.push_back(
        {static_cast<uint64_t>(select.number(0)), static_cast<uint64_t>(select.number(1)), select.number(2)});
  }
  if (auto noted = noted_paths_.find(id); noted != noted_paths_.end()) {
    for (const auto& [file, stamp] : noted->second) {
      if (file < stamps.size()) stamps[file] = stamp;  // else another process has removed the image
    }
  }
  return stamps;
}

std::optional<ObjectRow> ImageIndex::object(const std::string& digest) {
  std::lock_guard lock(mutex_);
  auto row = select_object(db_, digest);
  auto noted = noted_objects_.find(digest);
  return noted != noted_objects_.end() && row == noted->second.before ? noted->second.now : row;
}

std::optional<std::string> ImageIndex::tagged(const std::string& tag) {
  std::lock_guard lock(mutex_);
  Statement select(db_, "SELECT image.id FROM tag JOIN image ON image.seq = tag.image WHERE tag = ?");
  if (!select.bind(tag).step()) return std::nullopt;
  return select.text(0);
}

std::vector<std::string> ImageIndex::children(const std::string& id) {
  std::lock_guard lock(mutex_);
  return select_children(db_, id);
}

bool ImageIndex::is_path_shared(const std::string& id, const ImageFile& file) {
  std::lock_guard lock(mutex_);
  Statement select(db_,
                   "SELECT 1 FROM file JOIN image ON image.seq = file.image WHERE path = ? AND file.digest = "
                   "? AND id <> ?");
  return select.bind(file.path).bind(file.digest).bind(id).step();
}

bool ImageIndex::read_only() {
  std::lock_guard lock(mutex_);
  return db_.read_only();
}

void ImageIndex::Write::take_notes(const ImageIndex& index) {
  for (const auto& [digest, noted] : index.noted_objects_) {
    if (object(digest) == noted.before) set_object(digest, noted.now);
  }
  for (const auto& [id, files] : index.noted_paths_) {
    for (const auto& [file, stamp] : files) set_path_stamp(id, file, stamp);
  }
}

void ImageIndex::Write::insert(const ImageRecord& record, const std::vector<FileStamp>& path_stamps) {
  Statement image(
      db_,
      "INSERT INTO image (id, key, name, made, builder_type, builder_id, artifact_id, description, digest, "
      "log, inputs, state, fresh_machine, tests) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  image.bind(record.id).bind(record.key).bind(record.name);
  image.bind(std::chrono::duration_cast<std::chrono::nanoseconds>(record.made.time_since_epoch()).count());
  image.bind(record.builder_type).bind(record.builder_id).bind(record.artifact_id).bind(record.description);
  image.bind(record.digest).bind(record.log).bind(stored_json(record.inputs)).bind(stored_json(record.state));
  image.bind(stored_json(record.fresh_machine)).bind(stored_json(record.tests)).step();
  int64_t seq = db_.last_insert_rowid();
  for (size_t i = 0; i < record.files.size(); ++i) {
    const ImageFile& file = record.files[i];
    Statement insert(db_,
                     "INSERT INTO file (image, ordinal, path, digest, size, mode, inode, mtime) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    insert.bind(seq).bind(static_cast<int64_t>(i)).bind(file.path).bind(file.digest);
    insert.bind(static_cast<int64_t>(file.size)).bind(file.mode);
    insert.bind(static_cast<int64_t>(path_stamps[i].inode)).bind(path_stamps[i].mtime).step();
  }
  for (size_t i = 0; i < record.parents.size(); ++i) {
    Statement insert(db_, "INSERT INTO parent (image, ordinal, parent) VALUES (?, ?, ?)");
    insert.bind(seq).bind(static_cast<int64_t>(i)).bind(record.parents[i]).step();
  }
  for (const auto& name : record.tags) tag(record.id, name);
}

void ImageIndex::Write::set_path_stamp(const std::string& id, size_t file, const FileStamp& stamp) {
  Statement update(db_,
                   "UPDATE file SET inode = ?, mtime = ? WHERE ordinal = ? AND "
                   "image = (SELECT seq FROM image WHERE id = ?)");
  update.bind(static_cast<int64_t>(stamp.inode))
      .bind(stamp.mtime)
      .bind(static_cast<int64_t>(file))
      .bind(id)
      .step();
}

void ImageIndex::Write::set_object(const std::string& digest, const ObjectRow& row) {
  Statement replace(
      db_, "INSERT OR REPLACE INTO object (digest, size, inode, mtime, damaged) VALUES (?, ?, ?, ?, ?)");
  replace.bind(digest).bind(static_cast<int64_t>(row.stamp.size)).bind(static_cast<int64_t>(row.stamp.inode));
  replace.bind(row.stamp.mtime).bind(row.damaged ? 1 : 0).step();
}

std::optional<ObjectRow> ImageIndex::Write::object(const std::string& digest) {
  return select_object(db_, digest);
}

void ImageIndex::Write::set_tests(const std::string& id, const Value& tests) {
  Statement(db_, "UPDATE image SET tests = ? WHERE id = ?").bind(stored_json(tests)).bind(id).step();
}

void ImageIndex::Write::set_artifact(const ImageRecord& record) {
  Statement(db_, "UPDATE image SET artifact_id = ?, description = ?, state = ? WHERE id = ?")
      .bind(record.artifact_id)
      .bind(record.description)
      .bind(stored_json(record.state))
      .bind(record.id)
      .step();
}

void ImageIndex::Write::tag(const std::string& id, const std::string& tag) {
  Statement(db_, "INSERT OR REPLACE INTO tag (tag, image) SELECT ?, seq FROM image WHERE id = ?")
      .bind(tag)
      .bind(id)
      .step();
}

bool ImageIndex::Write::untag(const std::string& tag) {
  Statement(db_, "DELETE FROM tag WHERE tag = ?").bind(tag).step();
  return db_.changes() > 0;
}

bool ImageIndex::Write::has(const std::string& id) {
  return Statement(db_, "SELECT 1 FROM image WHERE id = ?").bind(id).step();
}

std::vector<std::string> ImageIndex::Write::children(const std::string& id) {
  return select_children(db_, id);
}

void ImageIndex::Write::remove(const std::string& id) {
  Statement(db_, "DELETE FROM image WHERE id = ?").bind(id).step();
  db_.execute("DELETE FROM object WHERE digest NOT IN (SELECT digest FROM file)");
}

std::vector<std::string> ImageIndex::Write::objects() {
  Statement select(db_, "SELECT digest FROM object");
  return column(select);
}

}  // namespace kiln
