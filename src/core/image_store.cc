// The store of images, as its contract says: files by core/image_objects.h, rows by core/image_index.h.
#include "core/image_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "core/image_archive.h"
#include "core/image_index.h"
#include "core/image_objects.h"

namespace kiln {

namespace {

constexpr size_t id_length = 12;
constexpr size_t shortest_id_prefix = 3;

std::string new_image_id() {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string id;
  // It begins with a letter, so that it is never taken for a number.
  for (char c : random_bytes(id_length))
    id += letters[static_cast<unsigned char>(c) % (id.empty() ? 26 : letters.size())];
  return id;
}

std::string digest_of_files(const std::vector<ImageFile>& files) {
  if (files.empty()) return "";
  std::string text;
  for (const auto& file : files) text += file.digest + "\n";
  return digest_hex("sha256", text);
}

fs::path absolute_path(const std::string& path) { return fs::absolute(path).lexically_normal(); }

fs::path made_store_directory(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) throw_store_errno("cannot make the store of images " + directory.string(), error.value());
  return directory;
}

void check_tag(const std::string& tag) {
  auto fine = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("._:/-").find(c) != std::string_view::npos;
  };
  if (!tag.empty() && tag.size() <= 128 && std::all_of(tag.begin(), tag.end(), fine) && tag[0] != '-') return;
  throw Error(
      ErrorKind::user,
      fmt::format("{} is no tag: letters, digits and . _ : / - are, up to 128 of them, not beginning with -",
                  go_quote(tag)));
}

/// A file and what it looked like when it was read; a file that changes meanwhile is not proven by its stamp.
struct ReadFile {
  FileStamp stamp;
  std::string digest;
};

std::optional<ReadFile> read_content(const fs::path& file, const DigestProgress& progress, const Stop& stop) {
  auto before = look_at(file);
  if (!before) return std::nullopt;
  std::string digest = file_sha256(file, progress, stop);
  FileStamp stamp = settled(*before);
  if (look_at(file) != before) stamp.mtime = 0;
  return ReadFile{stamp, digest};
}

/// See docs/formats/images.md.
class LocalImageStore : public ImageStore {
 public:
  LocalImageStore(const fs::path& directory, Journal* journal)
      : directory_(made_store_directory(directory)),
        journal_(journal),
        objects_(directory_, journal),
        index_(directory_ / "index.db") {
    if (!index_.read_only() && objects_.sweep_intakes()) sweep();
  }

  ImageRecord add(ImageRecord record, const std::vector<std::string>& files, const Stop& stop) override {
    record.id.clear();
    record.made = std::chrono::system_clock::now();
    return take_in(std::move(record), files, stop);
  }

  std::optional<ImageRecord> find_by_key(const std::string& key) override {
    if (key.empty()) return std::nullopt;
    for (auto& record : index_.by_key(key)) {
      auto whole = [&](const ImageFile& file) { return is_object_whole(file, Stop()); };
      if (std::all_of(record.files.begin(), record.files.end(), whole)) return std::move(record);
    }
    return std::nullopt;
  }

  std::optional<ImageRecord> newest(const std::string& name) override { return index_.newest(name); }
  ImageRecord get(const std::string& reference) override;
  std::vector<ImageRecord> list() override { return index_.all(); }
  bool restore(const ImageRecord& record, const Stop& stop) override;

  void set_tests(const std::string& id, const Value& tests) override {
    index_.write([&](auto& write) {
      require(write, id);
      write.set_tests(id, tests);
    });
  }

  void set_artifact(const ImageRecord& record) override {
    index_.write([&](auto& write) {
      require(write, record.id);
      write.set_artifact(record);
    });
  }

  void tag(const std::string& id, const std::string& tag) override {
    check_tag(tag);
    index_.write([&](auto& write) {
      require(write, id);
      write.tag(id, tag);
    });
  }

  void untag(const std::string& tag) override {
    bool found = false;
    index_.write([&](auto& write) { found = write.untag(tag); });
    if (found) return;
    std::vector<std::string> tags;
    for (const auto& record : index_.all()) tags.insert(tags.end(), record.tags.begin(), record.tags.end());
    auto near = nearest_name(tag, tags);
    throw Error(ErrorKind::user, fmt::format("no image has the tag {}{}", go_quote(tag),
                                             near ? fmt::format("; did you mean {}?", *near) : ""));
  }

  void remove(const std::string& id, bool files) override;
  std::vector<ImageRecord> prunable(const PrunePolicy& policy) override;
  std::vector<ImageDamage> verify(const ImageRecord& record,
                                  const std::function<void(uint64_t, uint64_t)>& progress,
                                  const Stop& stop) override;

  void export_image(const ImageRecord& record, const fs::path& to, const Stop& stop) override {
    auto content = [&](const ImageFile& file) {
      if (!is_object_whole(file, stop)) throw_lost(record, file);
      return objects_.path_of(file.digest);
    };
    write_image_archive(record, content, to, journal_, stop);
  }

  ImageRecord import_image(const fs::path& from, const fs::path& directory, const Stop& stop) override;

 private:
  static void require(ImageIndex::Write& write, const std::string& id) {
    if (!write.has(id)) throw Error(ErrorKind::user, "no image " + go_quote(id));
  }

  [[noreturn]] static void throw_lost(const ImageRecord& record, const ImageFile& file) {
    throw Error(
        ErrorKind::environment,
        fmt::format(
            "the store of images no longer has the content of {} (image {}, {}): the file was changed or "
            "removed in place. Build the image again, or remove it with `kiln images rm {}`",
            file.path, record.id, record.name, record.id));
  }

  ImageRecord take_in(ImageRecord record, const std::vector<std::string>& files, const Stop& stop);
  static std::vector<FileStamp> source_stamps(const std::vector<TakenFile>& taken);
  void publish(ImageIndex::Write& write, const TakenFile& file);
  bool is_object_whole(const ImageFile& file, const Stop& stop);
  std::optional<FileStamp> whole_at_path(const ImageFile& file, const FileStamp& known, const Stop& stop);
  void note_object(const std::string& digest, const ObjectRow& known, const ObjectRow& row);
  void sweep();

  fs::path directory_;
  Journal* journal_;
  ImageObjects objects_;
  ImageIndex index_;
};

ImageRecord LocalImageStore::take_in(ImageRecord record, const std::vector<std::string>& files,
                                     const Stop& stop) {
  auto intake = objects_.begin_intake();
  std::vector<TakenFile> taken;
  record.files.clear();
  for (const auto& path : files) {
    fs::path file = absolute_path(path);
    taken.push_back(objects_.take(*intake, file, stop));
    record.files.push_back({file.string(), taken.back().digest, taken.back().source.size, taken.back().mode});
  }
  record.digest = digest_of_files(record.files);
  index_.write([&](auto& write) {
    while (record.id.empty() || write.has(record.id)) record.id = new_image_id();
    for (const auto& file : taken) publish(write, file);
    write.insert(record, source_stamps(taken));
  });
  return record;
}

std::vector<FileStamp> LocalImageStore::source_stamps(const std::vector<TakenFile>& taken) {
  std::vector<FileStamp> stamps;
  stamps.reserve(taken.size());
  for (const auto& file : taken) stamps.push_back(file.source);
  return stamps;
}

/// Unless the same content is there already. Others who write are kept out, so nobody removes it meanwhile.
void LocalImageStore::publish(ImageIndex::Write& write, const TakenFile& file) {
  auto known = write.object(file.digest);
  auto now = look_at(objects_.path_of(file.digest));
  if (known && !known->damaged && now && known->stamp.proves(*now)) return;
  objects_.publish(file);
  write.set_object(file.digest, {file.object, false});
}

/// Whether the object is what its name says. It is read only when it looks unlike what it was when it was
/// last read.
bool LocalImageStore::is_object_whole(const ImageFile& file, const Stop& stop) {
  auto row = index_.object(file.digest);
  auto now = look_at(objects_.path_of(file.digest));
  if (!row || !now || row->damaged) return false;
  if (row->stamp.proves(*now)) return true;
  auto read = now->size == file.size ? read_content(objects_.path_of(file.digest), {}, stop) : std::nullopt;
  bool whole = read && read->digest == file.digest;
  note_object(file.digest, *row, whole ? ObjectRow{read->stamp, false} : ObjectRow{*now, true});
  return whole;
}

/// What `known` has become. Damage is told to other processes at once.
void LocalImageStore::note_object(const std::string& digest, const ObjectRow& known, const ObjectRow& row) {
  if (row == known) return;
  index_.note_object(digest, known, row);
  if (row.damaged != known.damaged && !index_.read_only()) index_.write([](auto&) {});
}

/// The stamp to keep for the file at its path if it is still what was built.
std::optional<FileStamp> LocalImageStore::whole_at_path(const ImageFile& file, const FileStamp& known,
                                                        const Stop& stop) {
  auto now = look_at(file.path);
  if (!now || now->size != file.size) return std::nullopt;
  if (known.proves(*now)) return known;
  auto read = read_content(file.path, {}, stop);
  if (!read || read->digest != file.digest) return std::nullopt;
  return read->stamp;
}

bool LocalImageStore::restore(const ImageRecord& record, const Stop& stop) {
  auto known = index_.path_stamps(record.id);
  if (known.size() != record.files.size()) throw Error(ErrorKind::user, "no image " + go_quote(record.id));
  bool put_back = false;
  for (size_t i = 0; i < known.size(); ++i) {
    const ImageFile& file = record.files[i];
    auto stamp = whole_at_path(file, known[i], stop);
    if (!stamp) {
      if (!is_object_whole(file, stop)) throw_lost(record, file);
      objects_.put(file.digest, file.path, file.mode, stop);
      stamp = settled(look_at(file.path).value_or(FileStamp{}));
      put_back = true;
    }
    if (*stamp != known[i]) index_.note_path(record.id, i, *stamp);
  }
  return put_back;
}

ImageRecord LocalImageStore::get(const std::string& reference) {
  if (auto exact = index_.by_id(reference)) return *exact;
  if (auto id = index_.tagged(reference)) {
    if (auto tagged = index_.by_id(*id)) return *tagged;
  }
  auto all = index_.all();
  std::string path = absolute_path(reference).string();
  std::vector<std::string> names, starts;
  for (auto& record : all) {
    if (record.name == reference) return record;
    if (reference.size() >= shortest_id_prefix && record.id.starts_with(reference))
      starts.push_back(record.id);
    names.push_back(record.name);
    names.push_back(record.id);
    names.insert(names.end(), record.tags.begin(), record.tags.end());
  }
  if (starts.size() == 1) return index_.by_id(starts[0]).value();
  if (starts.size() > 1) {
    throw Error(ErrorKind::user, fmt::format("{} is the beginning of {} images: {}", go_quote(reference),
                                             starts.size(), join(starts, ", ")));
  }
  for (auto& record : all) {
    if (std::any_of(record.files.begin(), record.files.end(), [&](auto& file) { return file.path == path; }))
      return record;
  }
  std::string hint;
  if (all.empty())
    hint = fmt::format(": there are none in {}", directory_.string());
  else if (auto near = nearest_name(reference, names))
    hint = fmt::format("; did you mean {}?", *near);
  throw Error(ErrorKind::user, fmt::format("no image {}{}", go_quote(reference), hint));
}

void LocalImageStore::remove(const std::string& id, bool files) {
  auto record = index_.by_id(id);
  if (!record) throw Error(ErrorKind::user, "no image " + go_quote(id));
  std::vector<FileStamp> known = index_.path_stamps(id);
  std::vector<std::string> ours;  // files at their paths that are still what was built
  for (size_t i = 0; files && i < record->files.size(); ++i) {
    const ImageFile& file = record->files[i];
    if (!index_.is_path_shared(id, file) && whole_at_path(file, known[i], Stop())) ours.push_back(file.path);
  }
  index_.write([&](auto& write) {
    auto children = write.children(id);
    if (!children.empty()) {
      throw Error(ErrorKind::user,
                  fmt::format("image {} ({}) stays: {} {} made from it. Remove {} first", id, record->name,
                              join(children, ", "), children.size() == 1 ? "was" : "were",
                              children.size() == 1 ? "that" : "those"));
    }
    write.remove(id);
  });
  sweep();
  for (const auto& path : ours) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_store_errno("remove " + path, errno);
    ::rmdir(fs::path(path).parent_path().c_str());  // an output directory that is in the next build's way
  }
}

/// Content without a row is what a process left that was killed between giving it its name and saying so in
/// the index, or what no image has any more. Nobody adds while it goes.
void LocalImageStore::sweep() {
  index_.write([&](auto& write) {
    auto known = write.objects();
    std::set<std::string> names(known.begin(), known.end());
    objects_.sweep_objects([&](const std::string& digest) { return names.contains(digest); });
  });
}

std::vector<ImageRecord> LocalImageStore::prunable(const PrunePolicy& policy) {
  auto all = index_.all();  // newest first
  const auto now = std::chrono::system_clock::now();
  std::map<std::string, size_t> seen;
  std::map<std::string, ImageRecord> candidates;
  std::set<std::string> stay;  // what images that stay were made from
  for (const auto& record : all) {
    bool newest = seen[record.name]++ < policy.keep;
    bool young = policy.older_than && now - record.made <= *policy.older_than;
    if (newest || young || !record.tags.empty())
      stay.insert(record.id);
    else
      candidates.emplace(record.id, record);
  }
  std::map<std::string, const ImageRecord*> by_id;
  for (const auto& record : all) by_id[record.id] = &record;
  std::vector<std::string> open(stay.begin(), stay.end());
  while (!open.empty()) {
    std::string id = open.back();
    open.pop_back();
    if (!by_id.contains(id)) continue;
    for (const auto& parent : by_id[id]->parents) {
      if (candidates.erase(parent) > 0) open.push_back(parent);
    }
  }
  std::vector<ImageRecord> order;
  while (!candidates.empty()) {
    std::set<std::string> parents;
    for (const auto& [id, record] : candidates) parents.insert(record.parents.begin(), record.parents.end());
    size_t before = order.size();
    for (auto at = all.rbegin(); at != all.rend(); ++at) {
      if (candidates.contains(at->id) && !parents.contains(at->id)) order.push_back(*at);
    }
    for (size_t i = before; i < order.size(); ++i) candidates.erase(order[i].id);
    if (order.size() == before) break;  // a circle, which only a forged import can make: it stays
  }
  return order;
}

std::vector<ImageDamage> LocalImageStore::verify(const ImageRecord& record,
                                                 const std::function<void(uint64_t, uint64_t)>& progress,
                                                 const Stop& stop) {
  uint64_t total = 0, before = 0;
  for (const auto& file : record.files) total += file.size;
  std::vector<ImageDamage> damages;
  for (const auto& file : record.files) {
    fs::path object = objects_.path_of(file.digest);
    auto known = index_.object(file.digest);
    std::string what;
    try {
      auto read = read_content(
          object,
          [&](uint64_t done) {
            if (progress) progress(before + done, total);
          },
          stop);
      if (!read)
        what = "missing";
      else if (read->digest != file.digest)
        what = "content differs";
      if (read && known) note_object(file.digest, *known, {read->stamp, !what.empty()});
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::cancelled) throw;
      what = error.message();
    }
    if (!what.empty()) damages.push_back({record.id, file.path, what});
    before += file.size;
    if (progress) progress(before, total);
  }
  return damages;
}

ImageRecord LocalImageStore::import_image(const fs::path& from, const fs::path& directory, const Stop& stop) {
  ImageRecord record = read_image_archive(from, fs::absolute(directory).lexically_normal(), journal_, stop);
  std::vector<std::string> files;
  for (const auto& file : record.files) files.push_back(file.path);
  if (index_.by_id(record.id)) record.id.clear();
  std::erase_if(record.tags, [&](const std::string& tag) { return index_.tagged(tag).has_value(); });
  try {
    return take_in(std::move(record), files, stop);
  } catch (...) {
    for (const auto& file : files) ::unlink(file.c_str());
    throw;
  }
}

}  // namespace

std::unique_ptr<ImageStore> open_image_store(const fs::path& directory, Journal* journal) {
  return std::make_unique<LocalImageStore>(fs::absolute(directory).lexically_normal(), journal);
}

fs::path image_store_directory() {
  if (auto own = get_env("KILN_STORE_DIR"); own && !own->empty()) return *own;
  if (auto data = get_env("XDG_DATA_HOME"); data && !data->empty()) return fs::path(*data) / "kiln/images";
  if (auto home = get_env("HOME"); home && !home->empty())
    return fs::path(*home) / ".local/share/kiln/images";
  throw Error(ErrorKind::environment,
              "neither HOME nor KILN_STORE_DIR is set: there is no place for the store of images");
}

Artifact artifact_of_image(const ImageRecord& record) {
  Artifact out;
  out.builder_id = record.builder_id;
  out.id = record.artifact_id;
  out.description = record.description;
  out.state = record.state;
  for (const auto& file : record.files) out.files.push_back(file.path);
  out.destroy = [files = out.files] {
    std::error_code error;
    for (const auto& file : files) fs::remove(file, error);
    for (const auto& file : files) ::rmdir(fs::path(file).parent_path().c_str());  // unless something else is in it
  };
  return out;
}

std::vector<std::string> describe_artifact(const Artifact& artifact, ImageRecord& record) {
  record.builder_id = artifact.builder_id;
  record.artifact_id = artifact.id;
  record.description = artifact.description;
  record.state = artifact.state;
  if (record.state.is_object()) record.state.take("generated_data");  // it may hold passwords
  if (!artifact.id.empty() && fs::exists(artifact.id))
    record.artifact_id = fs::absolute(artifact.id).lexically_normal().string();
  std::vector<std::string> files;
  for (const auto& file : artifact.files) {
    if (fs::is_regular_file(file)) files.push_back(fs::absolute(file).string());
  }
  return files;
}

}  // namespace kiln
