#include "core/state_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <set>

#include "base/digest.h"
#include "base/error.h"
#include "base/guarded.h"
#include "base/text.h"
#include "core/state_manifest.h"

namespace kiln {

namespace {

constexpr uint64_t default_budget = uint64_t{20} << 30U;
constexpr const char* manifest_name = "state.json";
constexpr const char* used_name = "used";  // its mtime says when the state was used last

[[noreturn]] void throw_cache_errno(const std::string& what, int error) {
  const char* hint = error == ENOSPC || error == EDQUOT
                         ? ". `kiln cache gc -all` makes room; KILN_CACHE_DIR puts the cache elsewhere"
                         : "";
  throw Error(ErrorKind::environment, fmt::format("{}: {}{}", what, go_errno_text(error), hint));
}

void make_directory(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw_cache_errno("make " + path.string(), error.value());
}

void sync_path(const fs::path& path, int flags) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (!fd.is_open() || (::fsync(fd.get()) != 0 && flags == 0)) throw_cache_errno("write " + path.string(), errno);
}

uint64_t bytes_on_disk(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_blocks) * 512 : 0;
}

StateFile described(const fs::path& path, bool digest) {
  auto stamp = look_at(path);
  if (!stamp) throw Error(ErrorKind::environment, path.string() + " is gone");
  return {*stamp, digest ? file_digest_hex("sha256", path) : ""};
}

std::optional<Fd> lock_shared(const fs::path& file) {
  Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open() || ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0) return std::nullopt;
  return fd;
}

class DirectoryCache;

class DirectoryRun : public StateRun {
 public:
  explicit DirectoryRun(DirectoryCache& cache);
  ~DirectoryRun() override;
  const fs::path& layers_directory() const override;
  fs::path new_layer(const std::string& extension) override;
  std::string outside_tag() const override;
  fs::path begin() override;
  MachineState commit(MachineState state, const fs::path& directory) override;

 private:
  DirectoryCache& cache_;
  ImageIntake intake_;
  std::atomic<int> next_ = 1;
  Guarded<std::set<std::string>> named_;  ///< layers of states that were committed
};

/// ROOT/states/KEY/{state.json,used,...}, ROOT/layers/RUN-N.EXT, ROOT/tmp/RUN, ROOT/locks/KEY.
class DirectoryCache : public StateCache {
 public:
  explicit DirectoryCache(fs::path root) : root_(std::move(root)), layers_(root_ / "layers") {
    for (const auto& path : {root_ / "states", layers_, root_ / "tmp", root_ / "locks"}) make_directory(path);
    fs::permissions(root_, fs::perms::owner_all);  // memory of machines holds their secrets
  }

  const fs::path& root() const { return root_; }
  const fs::path& layers_directory() const override { return layers_; }
  fs::path directory_of(const std::string& key) const { return root_ / "states" / key; }

  Found find(const std::string& key) override {
    auto manifest = read(key);
    if (!manifest) return {};
    if (std::string why = why_unusable(*manifest, Look::inside); !why.empty()) return {std::nullopt, why};
    MachineState state = manifest->state;
    bool some_copied = digests_.with([](const auto& all) { return !all.empty(); });
    if (some_copied) know_again(std::move(*manifest));
    return {std::move(state), ""};
  }

  std::vector<MachineState> lineage(const MachineState& state) override {
    std::vector<MachineState> out{state};
    while (!out.back().parent.empty()) {
      auto parent = read(out.back().parent);
      if (!parent || parent->state.instance != out.back().parent_instance) {
        throw Error(ErrorKind::environment, "a state that this one builds on is gone");
      }
      out.push_back(parent->state);
    }
    std::reverse(out.begin(), out.end());
    return out;
  }

  std::optional<StateLease> lease(const MachineState& state) override {
    auto fd = lock_shared(state.directory / used_name);
    auto now = read(state.key);
    if (!fd || !now || now->state.instance != state.instance) return std::nullopt;
    for (auto key = state.key; !key.empty();) {
      ::utimensat(AT_FDCWD, (directory_of(key) / used_name).c_str(), nullptr, 0);
      auto manifest = read(key);
      key = manifest ? manifest->state.parent : "";
    }
    return StateLease(std::move(*fd));
  }

  std::unique_ptr<StateRun> open_run() override { return std::make_unique<DirectoryRun>(*this); }
  std::optional<FileLock> try_make(const std::string& key) override {
    return FileLock::try_lock(root_ / "locks" / key);
  }

  std::string id() override {
    fs::path file = root_ / "id";
    if (auto known = read_file_if_exists(file)) return *known;
    fs::path own = root_ / "tmp" / ("id-" + random_uuid());
    write_file_atomically(own, random_uuid());
    std::error_code ignored;
    fs::create_hard_link(own, file, ignored);  // another process may have been first
    fs::remove(own, ignored);
    return read_file(file);
  }

  std::vector<MachineState> list() override {
    std::vector<MachineState> out;
    for (auto& manifest : all()) out.push_back(std::move(manifest.state));
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.used > b.used; });
    return out;
  }

  bool remove(const std::string& key) override {
    auto states = all();
    auto whole = read(key);
    if (!whole) return true;
    for (const auto& child : states) {
      if (child.state.parent == key && child.state.parent_instance == whole->state.instance &&
          !remove(child.state.key)) {
        return false;
      }
    }
    return remove_leaf(*whole);
  }

  std::vector<MachineState> trim(uint64_t budget) override {
    std::vector<MachineState> removed;
    auto states = all();
    // Children go before their parents: who uses a child uses its parents, so these are never older.
    std::sort(states.begin(), states.end(), [](const auto& a, const auto& b) {
      return std::tie(a.state.used, b.state.number) < std::tie(b.state.used, a.state.number);
    });
    uint64_t total = 0;
    for (const auto& one : states) total += one.state.bytes;
    for (auto& one : states) {
      bool useless = !why_unusable(one, Look::outside).empty();
      if (total <= budget && !useless) continue;
      if (has_children(one.state) || !remove_leaf(one)) continue;
      total -= one.state.bytes;
      removed.push_back(std::move(one.state));
    }
    sweep();
    return removed;
  }

  std::vector<StateDamage> verify(const MachineState& state, const Stop& stop) override {
    std::vector<StateDamage> out;
    auto manifest = read(state.key);
    if (!manifest) return {{state.key, "it is gone"}};
    if (std::string why = why_unusable(*manifest, Look::inside); !why.empty()) out.push_back({state.key, why});
    auto compare = [&](const fs::path& path, const StateFile& file) {
      stop.check();
      if (file.digest.empty() || !look_at(path)) return;
      if (file_digest_hex("sha256", path) != file.digest)
        out.push_back({state.key, path.string() + ": its content differs"});
    };
    for (const auto& [name, file] : manifest->files) compare(manifest->state.directory / name, file);
    for (const auto& [name, file] : manifest->layers) compare(layers_ / name, file);
    return out;
  }

  /// The manifest and where it is; nullopt: there is none, or none that can be read.
  std::optional<StateManifest> read(const std::string& key) const {
    auto manifest = parsed(key);
    if (!manifest) return std::nullopt;
    StateManifest out = *manifest;
    struct stat status {};
    if (::stat((out.state.directory / used_name).c_str(), &status) == 0) {
      out.state.used = std::chrono::system_clock::from_time_t(status.st_mtim.tv_sec) +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(
                           std::chrono::nanoseconds(status.st_mtim.tv_nsec));
    }
    return out;
  }

  /// Puts a whole state in its place, whatever was there.
  void publish(const fs::path& from, const std::string& key) {
    fs::path to = directory_of(key);
    for (int turn = 0; turn < 10; ++turn) {
      if (::rename(from.c_str(), to.c_str()) == 0) {
        sync_path(root_ / "states", O_DIRECTORY);
        return;
      }
      if (errno != EEXIST && errno != ENOTEMPTY) throw_cache_errno("write " + to.string(), errno);
      std::error_code ignored;
      fs::path old = root_ / "tmp" / ("old-" + random_uuid());
      fs::rename(to, old, ignored);
      fs::remove_all(old, ignored);
    }
    throw Error(ErrorKind::environment, "cannot put a state at " + to.string());
  }

 private:
  struct Parsed {
    FileStamp stamp;
    std::shared_ptr<const StateManifest> manifest;
  };

  /// A manifest is looked at for each state that builds on it, so it is parsed once. It never changes:
  /// another state under the key is another file.
  std::shared_ptr<const StateManifest> parsed(const std::string& key) const {
    fs::path file = directory_of(key) / manifest_name;
    auto stamp = look_at(file);
    if (!stamp) return nullptr;
    auto known = parsed_.with([&](const auto& all) {
      auto found = all.find(key);
      return found != all.end() && found->second.stamp == *stamp ? found->second.manifest : nullptr;
    });
    if (known) return known;
    auto text = read_file_if_exists(file);
    if (!text) return nullptr;
    try {
      StateManifest out = parse_manifest(*text, file.string());
      out.state.directory = file.parent_path();
      auto made = std::make_shared<const StateManifest>(std::move(out));
      parsed_.with([&](auto& all) { all.insert_or_assign(key, Parsed{*stamp, made}); });
      return made;
    } catch (const Error&) {
      return nullptr;  // another version's, or damaged: as good as not there
    }
  }

  std::vector<StateManifest> all() const {
    std::vector<StateManifest> out;
    std::error_code error;
    for (auto entry = fs::directory_iterator(root_ / "states", error);
         !error && entry != fs::directory_iterator(); entry.increment(error)) {
      if (auto manifest = read(entry->path().filename().string())) out.push_back(std::move(*manifest));
    }
    return out;
  }

  /// Whether a file that is not the one that was written, but of its size, may be a copy of it (a cache that was moved
  /// to another disk): that is said by its content, which takes time.
  enum class Look { outside, inside };

  /// Why a file is not as it was; empty: it is, or may be.
  std::string changed(const fs::path& path, const StateFile& file, Look look) const {
    auto now = look_at(path);
    if (!now) return path.string() + " is gone";
    if (*now == file.stamp) return "";
    bool may_be = now->size == file.stamp.size && !file.digest.empty();
    if (may_be && (look == Look::outside || digest_of(path, *now) == file.digest)) return "";
    return path.string() + " changed";
  }

  std::string digest_of(const fs::path& path, const FileStamp& stamp) const {
    auto known = digests_.with([&](const auto& all) {
      auto found = all.find(path);
      return found != all.end() && found->second.stamp == stamp ? found->second.digest : "";
    });
    if (!known.empty()) return known;
    StateFile read{stamp, file_digest_hex("sha256", path)};
    digests_.with([&](auto& all) { all.insert_or_assign(path, read); });
    return read.digest;
  }

  std::string why_unusable(const StateManifest& manifest, Look look) const {
    for (const auto& [name, file] : manifest.files) {
      if (std::string why = changed(manifest.state.directory / name, file, look); !why.empty()) return why;
    }
    for (const auto& [name, file] : manifest.layers) {
      if (std::string why = changed(layers_ / name, file, look); !why.empty()) return why;
    }
    for (const auto& [path, file] : manifest.depends) {
      if (std::string why = changed(path, file, look); !why.empty()) return why;
    }
    if (manifest.state.parent.empty()) return "";
    auto parent = read(manifest.state.parent);
    if (!parent) return "the state it builds on is gone";
    if (parent->state.instance != manifest.state.parent_instance)
      return "the state it builds on was made anew";
    return why_unusable(*parent, look);
  }

  void write_again(const StateManifest& manifest) const {
    try {
      write_file_atomically(manifest.state.directory / manifest_name, manifest_text(manifest), 0600);
    } catch (const Error&) {
      // A cache that cannot be written to is read again each time.
    }
  }

  /// Files that were found to be copies are known by their looks from now on, those of its parents, too.
  void know_again(StateManifest manifest) {
    for (;;) {
      bool copied = false;
      auto look_again = [&](const fs::path& path, StateFile& file) {
        auto now = look_at(path);
        if (now && *now != file.stamp) file.stamp = *now, copied = true;
      };
      for (auto& [name, file] : manifest.files) look_again(manifest.state.directory / name, file);
      for (auto& [name, file] : manifest.layers) look_again(layers_ / name, file);
      // Who makes the state anew has this lock.
      if (auto lock = copied ? try_make(manifest.state.key) : std::nullopt) {
        auto there = read(manifest.state.key);
        if (there && there->state.instance == manifest.state.instance) write_again(manifest);
      }
      auto parent = read(manifest.state.parent);
      if (!parent) return;
      manifest = std::move(*parent);
    }
  }

  bool has_children(const MachineState& state) const {
    auto states = all();
    return std::any_of(states.begin(), states.end(), [&](const auto& one) {
      return one.state.parent == state.key && one.state.parent_instance == state.instance;
    });
  }

  bool remove_leaf(const StateManifest& manifest) {
    const fs::path& directory = manifest.state.directory;
    Fd used(::open((directory / used_name).c_str(), O_RDONLY | O_CLOEXEC));
    if (used.is_open() && ::flock(used.get(), LOCK_EX | LOCK_NB) != 0) return false;
    std::error_code ignored;
    fs::path old = root_ / "tmp" / ("old-" + random_uuid());
    fs::rename(directory, old, ignored);
    fs::remove_all(old, ignored);
    for (const auto& [name, file] : manifest.layers) fs::remove(layers_ / name, ignored);
    return true;
  }

  /// What killed processes left: their directories, then layers of theirs that no state names, then free
  /// locks.
  void sweep() {
    ImageObjects(root_, nullptr).sweep_intakes();
    std::set<std::string> named;
    for (const auto& manifest : all()) {
      for (const auto& [name, file] : manifest.layers) named.insert(name);
    }
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(layers_, ignored)) {
      std::string name = entry.path().filename().string();
      bool runs = fs::exists(root_ / "tmp" / name.substr(0, name.find('-')), ignored);
      if (!runs && !named.contains(name)) fs::remove(entry.path(), ignored);
    }
    for (const auto& entry : fs::directory_iterator(root_ / "tmp", ignored)) {
      if (entry.path().filename().string().starts_with("old-")) fs::remove_all(entry.path(), ignored);
    }
    for (const auto& entry : fs::directory_iterator(root_ / "locks", ignored)) {
      if (auto lock = FileLock::try_lock(entry.path())) fs::remove(entry.path(), ignored);
    }
  }

  fs::path root_;
  fs::path layers_;
  mutable Guarded<std::map<std::string, Parsed>> parsed_;
  mutable Guarded<std::map<fs::path, StateFile>> digests_;  ///< of files that are not those that were written
};

DirectoryRun::DirectoryRun(DirectoryCache& cache) : cache_(cache), intake_(cache.root() / "tmp", nullptr) {}

DirectoryRun::~DirectoryRun() {
  std::error_code ignored;
  std::string prefix = intake_.path().filename().string() + "-";
  auto named = named_.with([](auto& names) { return std::move(names); });
  for (const auto& entry : fs::directory_iterator(cache_.layers_directory(), ignored)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && !named.contains(name)) fs::remove(entry.path(), ignored);
  }
}

const fs::path& DirectoryRun::layers_directory() const { return cache_.layers_directory(); }

fs::path DirectoryRun::new_layer(const std::string& extension) {
  return cache_.layers_directory() /
         fmt::format("{}-{}{}", intake_.path().filename().string(), next_++, extension);
}

std::string DirectoryRun::outside_tag() const { return cache_.id() + "/" + random_uuid(); }

fs::path DirectoryRun::begin() {
  fs::path path = intake_.path() / fmt::format("{}", next_++);
  if (::mkdir(path.c_str(), 0700) != 0) throw_cache_errno("make " + path.string(), errno);
  return path;
}

MachineState DirectoryRun::commit(MachineState state, const fs::path& directory) {
  StateManifest manifest;
  state.instance = random_uuid();
  state.made = state.used = std::chrono::system_clock::now();
  for (const auto& entry : fs::directory_iterator(directory)) {
    sync_path(entry.path(), 0);
    manifest.files[entry.path().filename().string()] = described(entry.path(), true);
    state.bytes += bytes_on_disk(entry.path());
  }
  for (const auto& name : state.layers) {
    sync_path(cache_.layers_directory() / name, 0);
    manifest.layers[name] = described(cache_.layers_directory() / name, true);
    state.bytes += bytes_on_disk(cache_.layers_directory() / name);
  }
  for (const auto& path : state.depends) manifest.depends[path] = described(path, false);
  state.directory = cache_.directory_of(state.key);
  manifest.state = state;
  write_file_atomically(directory / used_name, "");
  write_file_atomically(directory / manifest_name, manifest_text(manifest), 0600);
  sync_path(cache_.layers_directory(), O_DIRECTORY);
  named_.with([&](auto& names) { names.insert(state.layers.begin(), state.layers.end()); });
  cache_.publish(directory, state.key);
  return state;
}

}  // namespace

std::string state_detail(const MachineState& state, const char* name) {
  const Value* value = state.details.is_object() ? state.details.find(name) : nullptr;
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

std::unique_ptr<StateCache> open_state_cache(const fs::path& directory) {
  return std::make_unique<DirectoryCache>(fs::absolute(directory));
}

fs::path state_cache_directory() {
  if (auto named = get_env("KILN_CACHE_DIR"); named && !named->empty()) return *named;
  if (auto cache = get_env("XDG_CACHE_HOME"); cache && !cache->empty())
    return fs::path(*cache) / "kiln" / "states";
  return expand_home("~/.cache/kiln/states");
}

uint64_t state_cache_budget() {
  auto text = get_env("KILN_CACHE_SIZE");
  if (!text || trim(*text).empty()) return default_budget;
  char* end = nullptr;
  double number = std::strtod(text->c_str(), &end);
  std::string unit = lower(trim(end));
  if (unit.ends_with("ib"))
    unit.erase(unit.size() - 2);
  else if (unit.ends_with('b'))
    unit.pop_back();
  size_t power = unit.empty() ? 0 : std::string("kmgt").find(unit) + 1;
  if (end == text->c_str() || unit.size() > 1 || (!unit.empty() && power == 0) || !(number >= 0) ||
      number > 1e18) {
    throw Error(ErrorKind::user, fmt::format("KILN_CACHE_SIZE is {}: give a size as 20GiB", go_quote(*text)));
  }
  return static_cast<uint64_t>(std::ldexp(number, static_cast<int>(10 * power)));
}

}  // namespace kiln
