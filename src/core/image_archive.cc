#include "core/image_archive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <set>

#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lazy_archive.h"
#include "base/sparse.h"
#include "base/text.h"
#include "core/image_index.h"
#include "core/image_objects.h"

namespace kiln {

namespace {

constexpr int archive_version = 1;
constexpr size_t archive_block = 1 << 20;
constexpr int64_t largest_record = 64 << 20;
constexpr const char* record_entry = "record.json";
constexpr std::string_view files_prefix = "files/";

/// The directory below which all files are.
fs::path common_directory(const std::vector<ImageFile>& files) {
  fs::path common = files.empty() ? fs::path() : fs::path(files[0].path).parent_path();
  for (const auto& file : files) {
    while (common.has_relative_path() && !file.path.starts_with(common.string() + "/"))
      common = common.parent_path();
  }
  return common;
}

std::string text_member(const Value& value, const char* key) {
  const Value* member = value.find(key);
  return member != nullptr && member->is_string() ? member->as_string() : "";
}

int64_t number_member(const Value& value, const char* key) {
  const Value* member = value.find(key);
  if (member == nullptr || member->kind() != Value::Kind::number) return 0;
  return std::strtoll(member->as_number().text.c_str(), nullptr, 10);
}

Value value_member(const Value& value, const char* key) {
  const Value* member = value.find(key);
  return member != nullptr ? *member : Value();
}

std::vector<std::string> texts_member(const Value& value, const char* key) {
  std::vector<std::string> texts;
  const Value* member = value.find(key);
  if (member == nullptr || !member->is_list()) return texts;
  for (const auto& item : member->as_list()) {
    if (item.is_string()) texts.push_back(item.as_string());
  }
  return texts;
}

Value::List text_values(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

/// Whether a file of that name, below a directory, is in it and nowhere else.
bool stays_inside(const std::string& name) {
  if (name.empty() || contains(name, std::string_view("\0", 1))) return false;
  for (const auto& part : split(name, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// Strings of the value that are paths in or below `from`, as paths below `to`.
void move_paths(Value& value, const std::string& from, const std::string& to) {
  if (value.is_string()) {
    const std::string& text = value.as_string();
    if (text == from || text.starts_with(from + "/")) value = Value(to + text.substr(from.size()));
  } else if (value.is_list()) {
    for (auto& item : value.as_list()) move_paths(item, from, to);
  } else if (value.is_object()) {
    for (auto& member : value.as_object()) move_paths(member.value, from, to);
  }
}

using OwnedWriter = std::unique_ptr<archive, CallToDelete<archive_write_free>>;
using OwnedReader = std::unique_ptr<archive, CallToDelete<archive_read_free>>;

/// A tar that is being written.
class ArchiveWriter {
 public:
  ArchiveWriter(int fd, std::string name, bool packed)
      : archive_(archive_write_new()), name_(std::move(name)) {
    check(archive_write_set_format_pax_restricted(archive_.get()));
    if (packed) check(archive_write_add_filter_zstd(archive_.get()));
    check(archive_write_set_bytes_in_last_block(archive_.get(), 1));
    check(archive_write_open_fd(archive_.get(), fd));
  }
  ArchiveWriter(const ArchiveWriter&) = delete;

  void begin(const std::string& name, uint64_t size, int mode, std::chrono::system_clock::time_point made,
             const std::vector<Extent>& data) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<int64_t>(size));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, static_cast<mode_t>(mode));
    archive_entry_set_mtime(entry, std::chrono::system_clock::to_time_t(made), 0);
    for (const auto& extent : data)
      archive_entry_sparse_add_entry(entry, extent.begin, extent.end - extent.begin);
    int code = archive_write_header(archive_.get(), entry);
    archive_entry_free(entry);
    check(code);
  }
  void data(std::string_view bytes) {
    if (archive_write_data(archive_.get(), bytes.data(), bytes.size()) < 0) check(ARCHIVE_FATAL);
  }
  void end() { check(archive_write_close(archive_.get())); }

 private:
  void check(int code) {
    if (code == ARCHIVE_OK || code == ARCHIVE_WARN) return;
    if (int error = archive_errno(archive_.get()); error == ENOSPC || error == EDQUOT)
      throw_store_errno("write " + name_, error);
    const char* why = archive_error_string(archive_.get());
    throw Error(ErrorKind::environment,
                fmt::format("write {}: {}", name_, why != nullptr ? why : "unknown error"));
  }
  OwnedWriter archive_;
  std::string name_;
};

std::vector<Extent> extents_of(int fd, off_t size) {
  std::vector<Extent> extents;
  while (auto extent = next_extent(fd, extents.empty() ? 0 : extents.back().end, size))
    extents.push_back(*extent);
  if (extents.empty() && size > 0) extents.push_back({0, 0});  // a hole is all there is
  return extents;
}

/// Hands on the whole content, holes as zeros (which a sparse entry leaves out), and compares its digest.
void write_content(ArchiveWriter& writer, int fd, const ImageFile& file, const Stop& stop) {
  static const std::vector<char> zeros(archive_block);
  Digest digest("sha256");
  std::vector<char> block(archive_block);
  auto hand_on = [&](std::string_view bytes) {
    stop.check();
    digest.update(bytes);
    writer.data(bytes);
  };
  auto size = static_cast<off_t>(file.size);
  for (off_t at = 0; at < size;) {
    auto extent = next_extent(fd, at, size).value_or(Extent{size, size});
    for (; at < extent.begin; at += std::min<off_t>(archive_block, extent.begin - at)) {
      hand_on({zeros.data(), static_cast<size_t>(std::min<off_t>(archive_block, extent.begin - at))});
    }
    while (at < extent.end) {
      ssize_t got =
          ::pread(fd, block.data(), static_cast<size_t>(std::min<off_t>(archive_block, extent.end - at)), at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw_store_errno("read " + file.path, errno);
      if (got == 0) break;
      hand_on({block.data(), static_cast<size_t>(got)});
      at += got;
    }
    if (at < extent.end) break;  // shorter than it was
  }
  if (digest.hex() != file.digest) {
    throw Error(ErrorKind::environment,
                fmt::format("the content of {} in the store of images is damaged", file.path));
  }
}

/// A tar that is being read.
class ArchiveReader {
 public:
  explicit ArchiveReader(const fs::path& file) : archive_(archive_read_new()), name_(file.string()) {
    archive_read_support_format_tar(archive_.get());
    archive_read_support_filter_zstd(archive_.get());
    archive_read_support_filter_gzip(archive_.get());
    if (::access(file.c_str(), R_OK) != 0)
      throw Error(ErrorKind::user, fmt::format("open {}: {}", name_, go_errno_text(errno)));
    if (archive_read_open_filename(archive_.get(), file.c_str(), archive_block) != ARCHIVE_OK) fail();
  }
  ArchiveReader(const ArchiveReader&) = delete;

  /// nullptr at the end.
  archive_entry* next() {
    archive_entry* entry = nullptr;
    int code = archive_read_next_header(archive_.get(), &entry);
    if (code == ARCHIVE_EOF) return nullptr;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) fail();
    return entry;
  }
  /// The entry's data piece by piece; holes are passed over.
  void data(const std::function<void(std::string_view bytes, off_t at)>& piece) {
    for (;;) {
      const void* bytes = nullptr;
      size_t size = 0;
      la_int64_t at = 0;
      int code = archive_read_data_block(archive_.get(), &bytes, &size, &at);
      if (code == ARCHIVE_EOF) return;
      if (code != ARCHIVE_OK && code != ARCHIVE_WARN) fail();
      piece({static_cast<const char*>(bytes), size}, at);
    }
  }
  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(ErrorKind::user, fmt::format("{}: {}", name_, why));
  }

 private:
  [[noreturn]] void fail() const {
    const char* why = archive_error_string(archive_.get());
    refuse(fmt::format("this is no exported image, or a damaged one: {}",
                       why != nullptr ? why : "it cannot be read"));
  }
  OwnedReader archive_;
  std::string name_;
};

ArchivedImage read_record(ArchiveReader& reader, const fs::path& from) {
  archive_entry* entry = reader.next();
  if (entry == nullptr || archive_entry_pathname(entry) != std::string_view(record_entry)) {
    reader.refuse("this is no exported image: it does not begin with record.json");
  }
  std::string json;
  reader.data([&](std::string_view bytes, off_t) {
    json += bytes;
    if (json.size() > static_cast<size_t>(largest_record))
      reader.refuse("its record.json is larger than 64 MiB");
  });
  return parse_archive_record(json, from.string());
}

/// The files that were put somewhere, and directories made for them: taken away again unless keep() was
/// called.
class PutFiles {
 public:
  PutFiles() = default;
  ~PutFiles() {
    for (const auto& file : files_) ::unlink(file.c_str());
    for (auto at = directories_.rbegin(); at != directories_.rend(); ++at) ::rmdir(at->c_str());
  }
  PutFiles(const PutFiles&) = delete;
  void add(const fs::path& file) { files_.push_back(file); }
  void make_directories(const fs::path& directory) {
    std::vector<fs::path> missing;
    std::error_code error;
    for (fs::path at = directory; at.has_relative_path() && !fs::exists(at, error); at = at.parent_path())
      missing.push_back(at);
    directories_.insert(directories_.end(), missing.rbegin(), missing.rend());
    fs::create_directories(directory, error);
    if (error)
      throw Error(ErrorKind::environment,
                  fmt::format("make {}: {}", directory.string(), go_errno_text(error.value())));
  }
  void keep() {
    files_.clear();
    directories_.clear();
  }

 private:
  std::vector<fs::path> files_;
  std::vector<fs::path> directories_;
};

void write_piece(int fd, std::string_view bytes, off_t at, const fs::path& name) {
  while (!bytes.empty()) {
    ssize_t wrote = ::pwrite(fd, bytes.data(), bytes.size(), at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) throw_store_errno("write " + name.string(), errno);
    bytes.remove_prefix(static_cast<size_t>(wrote));
    at += wrote;
  }
}

/// Writes the entry's content to `file` by way of a temporary name; `put` takes it away again.
void unpack_file(ArchiveReader& reader, const ImageFile& file, PutFiles& put, Journal* journal,
                 const Stop& stop) {
  fs::path path = file.path;
  std::error_code error;
  if (fs::symlink_status(path, error).type() != fs::file_type::not_found) {
    throw Error(ErrorKind::user,
                fmt::format("{} is there already: import into another directory", path.string()));
  }
  put.make_directories(path.parent_path());
  fs::path temp = path.parent_path() / (".kiln-" + hex_encode(random_bytes(8)));
  JournaledPath journaled(journal, temp);
  Fd fd(::open(temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.is_open()) throw_store_errno("write " + path.string(), errno);
  PutFiles undo;
  undo.add(temp);
  reader.data([&](std::string_view bytes, off_t at) {
    stop.check();
    if (at < 0 || static_cast<uint64_t>(at) + bytes.size() > file.size)
      reader.refuse(file.path + " is larger than its record says");
    write_piece(fd.get(), bytes, at, path);
  });
  if (::ftruncate(fd.get(), static_cast<off_t>(file.size)) != 0)
    throw_store_errno("write " + path.string(), errno);
  if (file_sha256(temp, {}, stop) != file.digest)
    reader.refuse(fmt::format("it is damaged: the content of {} is not what its record says",
                              path.filename().string()));
  if (::fchmod(fd.get(), static_cast<mode_t>(file.mode) & 07777) != 0 || ::fsync(fd.get()) != 0 ||
      ::rename(temp.c_str(), path.c_str()) != 0) {
    throw_store_errno("write " + path.string(), errno);
  }
  undo.keep();
  put.add(path);
}

}  // namespace

std::string archive_record_json(const ImageRecord& record) {
  std::string common = common_directory(record.files).string();
  Value::List files;
  for (const auto& file : record.files) {
    Value entry = Value::empty_object();
    entry.set("name", fs::path(file.path).lexically_relative(common).string());
    entry.set("digest", file.digest);
    entry.set("size", static_cast<int64_t>(file.size));
    entry.set("mode", static_cast<int64_t>(file.mode));
    files.push_back(entry);
  }
  Value out = Value::empty_object();
  out.set("kiln_image", archive_version);
  out.set("id", record.id);
  out.set("key", record.key);
  out.set("name", record.name);
  out.set(
      "made",
      int64_t{std::chrono::duration_cast<std::chrono::nanoseconds>(record.made.time_since_epoch()).count()});
  out.set("builder_type", record.builder_type);
  out.set("builder_id", record.builder_id);
  out.set("artifact_id", record.artifact_id);
  out.set("description", record.description);
  out.set("digest", record.digest);
  out.set("directory", common);
  out.set("files", files);
  out.set("parents", text_values(record.parents));
  out.set("tags", text_values(record.tags));
  out.set("tests", record.tests);
  out.set("log", record.log);
  out.set("inputs", record.inputs);
  out.set("state", record.state);
  out.set("fresh_machine", record.fresh_machine);
  return stored_json(out);
}

ArchivedImage parse_archive_record(const std::string& json, const std::string& archive) {
  auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::user, fmt::format("{}: {}", archive, why));
  };
  Value value;
  try {
    value = parse_stored_json(json, "record.json");
  } catch (const Error& error) {
    refuse(error.message());
  }
  int64_t version = number_member(value, "kiln_image");
  if (version < 1) refuse("this is no exported image: its record.json has no kiln_image");
  if (version > archive_version) {
    refuse(fmt::format("it has format {}, made by a newer Kiln; this one knows up to {}", version,
                       archive_version));
  }
  ArchivedImage image;
  ImageRecord& record = image.record;
  record.id = text_member(value, "id");
  record.key = text_member(value, "key");
  record.name = text_member(value, "name");
  record.made =
      std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::nanoseconds(number_member(value, "made"))));
  record.builder_type = text_member(value, "builder_type");
  record.builder_id = text_member(value, "builder_id");
  record.artifact_id = text_member(value, "artifact_id");
  record.description = text_member(value, "description");
  record.log = text_member(value, "log");
  record.inputs = value_member(value, "inputs");
  record.state = value_member(value, "state");
  record.fresh_machine = value_member(value, "fresh_machine");
  record.tests = value_member(value, "tests");
  record.parents = texts_member(value, "parents");
  record.tags = texts_member(value, "tags");
  image.directory = text_member(value, "directory");
  Value files = value_member(value, "files");
  for (const auto& entry : files.is_list() ? files.as_list() : Value::List()) {
    std::string name = text_member(entry, "name"), digest = text_member(entry, "digest");
    int64_t size = number_member(entry, "size");
    if (!stays_inside(name))
      refuse(fmt::format("it names a file outside of its directory: {}", go_quote(name)));
    if (!is_sha256(digest) || size < 0)
      refuse(fmt::format("its record says nothing sensible of {}", go_quote(name)));
    image.names.push_back(name);
    record.files.push_back(
        {"", digest, static_cast<uint64_t>(size), static_cast<int>(number_member(entry, "mode") & 0777)});
  }
  if (std::set<std::string>(image.names.begin(), image.names.end()).size() != image.names.size()) {
    refuse("it names a file twice");
  }
  bool sound_id = record.id.size() == 12 &&
                  record.id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string::npos;
  if (!sound_id) record.id.clear();
  return image;
}

ImageRecord moved_record(const ArchivedImage& image, const fs::path& directory) {
  ImageRecord record = image.record;
  for (size_t i = 0; i < record.files.size(); ++i)
    record.files[i].path = (directory / image.names[i]).string();
  if (image.directory.size() > 1) {
    move_paths(record.state, image.directory, directory.string());
    move_paths(record.fresh_machine, image.directory, directory.string());
    Value id = record.artifact_id;
    move_paths(id, image.directory, directory.string());
    record.artifact_id = id.as_string();
  }
  return record;
}

void write_image_archive(const ImageRecord& record, const std::function<fs::path(const ImageFile&)>& content,
                         const fs::path& to, Journal* journal, const Stop& stop) {
  fs::path target = fs::absolute(to).lexically_normal();
  fs::path temp = target.string() + ".tmp-" + hex_encode(random_bytes(6));
  JournaledPath journaled(journal, temp);
  Fd fd(::open(temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd.is_open())
    throw Error(ErrorKind::environment, fmt::format("write {}: {}", target.string(), go_errno_text(errno)));
  PutFiles undo;
  undo.add(temp);
  ArchiveWriter writer(fd.get(), target.string(), to.extension() == ".zst");
  std::string json = archive_record_json(record);
  writer.begin(record_entry, json.size(), 0644, record.made, {});
  writer.data(json);
  fs::path common = common_directory(record.files);
  for (const auto& file : record.files) {
    fs::path object = content(file);
    Fd source(::open(object.c_str(), O_RDONLY | O_CLOEXEC));
    if (!source.is_open()) throw_store_errno("open " + object.string(), errno);
    std::string name = fs::path(file.path).lexically_relative(common).string();
    writer.begin(std::string(files_prefix) + name, file.size, file.mode, record.made,
                 extents_of(source.get(), static_cast<off_t>(file.size)));
    write_content(writer, source.get(), file, stop);
  }
  writer.end();
  if (::fsync(fd.get()) != 0 || ::rename(temp.c_str(), target.c_str()) != 0)
    throw_store_errno("write " + target.string(), errno);
  undo.keep();
}

ImageRecord read_image_archive(const fs::path& from, const fs::path& directory, Journal* journal,
                               const Stop& stop) {
  ArchiveReader reader(from);
  ArchivedImage image = read_record(reader, from);
  ImageRecord record = moved_record(image, directory);
  std::map<std::string, const ImageFile*> expected;
  for (size_t i = 0; i < image.names.size(); ++i)
    expected[std::string(files_prefix) + image.names[i]] = &record.files[i];
  PutFiles put;
  while (archive_entry* entry = reader.next()) {
    auto found = expected.find(archive_entry_pathname(entry));
    if (found == expected.end() || archive_entry_filetype(entry) != AE_IFREG) {
      reader.refuse(fmt::format("it holds {}, of which its record says nothing",
                                go_quote(archive_entry_pathname(entry))));
    }
    unpack_file(reader, *found->second, put, journal, stop);
    expected.erase(found);
  }
  if (!expected.empty())
    reader.refuse(fmt::format("it is not whole: {} is missing", expected.begin()->first));
  put.keep();
  return record;
}

}  // namespace kiln
