#include "endpoint/disks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/sparse.h"
#include "base/text.h"

namespace kiln::ec2 {

namespace {

constexpr size_t longest_chain = 8;  ///< files; each one more is one more place to look for a block
constexpr auto disk_limit = std::chrono::hours(1);
constexpr int64_t gib = 1024LL * 1024 * 1024;

fs::path made(fs::path directory) {
  std::error_code ignored;
  fs::create_directories(directory, ignored);
  return directory;
}

/// A file under a temporary name, journaled, until it is whole.
class Unfinished {
 public:
  Unfinished(fs::path final_path, Journal& journal)
      : final_(std::move(final_path)),
        path_(final_.string() + ".part"),
        journal_(journal),
        id_(journal.append(ResourceKind::path, path_.string(), "ec2").id) {}
  ~Unfinished() {
    std::error_code ignored;
    fs::remove(path_, ignored);
    try {
      journal_.remove(id_);
    } catch (const Error&) {  // it cannot be written: `gc` looks for a file that is not there
    }
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  const fs::path& path() const { return path_; }
  void finish() {
    Fd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open() || ::fdatasync(file.get()) != 0) throw_errno("sync " + path_.string());
    if (::rename(path_.c_str(), final_.c_str()) != 0) throw_errno("rename " + path_.string());
  }

 private:
  fs::path final_;
  fs::path path_;
  Journal& journal_;
  int64_t id_;
};

/// A file to read and one to write.
struct Ends {
  Ends(const fs::path& from, const fs::path& to)
      : in(::open(from.c_str(), O_RDONLY | O_CLOEXEC)),
        out(::open(to.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600)) {
    if (!in.is_open()) throw_errno("open " + from.string());
    if (!out.is_open()) throw_errno("open " + to.string());
  }
  Fd in, out;
};

/// Without copying anything; false where the file system cannot.
bool shared_content(const fs::path& from, const fs::path& to) {
  Ends ends(from, to);
  return share_content(ends.in.get(), ends.out.get());
}

void copy_disk(const fs::path& from, const fs::path& to) {
  if (shared_content(from, to)) return;
  auto [in, out] = Ends(from, to);
  if (int error = copy_content(in.get(), out.get()); error != 0) {
    throw Error(ErrorKind::environment,
                fmt::format("copy {} to {}: {}", from.string(), to.string(), go_errno_text(error)));
  }
}

}  // namespace

fs::path volume_file(const State& state, const std::string& volume_id) {
  return state.directory() / "volumes" / (volume_id + ".qcow2");
}

fs::path snapshot_file(const State& state, const std::string& file) {
  return state.directory() / "snapshots" / file;
}

void make_volume(const State& state, const Volume& volume, const Stop& stop) {
  fs::path file = volume_file(state, volume.id);
  if (fs::exists(file)) return;
  made(file.parent_path());
  fs::path part = file.string() + ".part";
  std::vector<std::string> argv = {"qemu-img", "create", "-q", "-f", "qcow2"};
  // A relative name: the state's directory may be moved as a whole.
  if (!volume.chain.empty())
    argv.insert(argv.end(), {"-F", "qcow2", "-b", "../snapshots/" + volume.chain.front()});
  argv.insert(argv.end(), {part.string(), std::to_string(volume.size * gib)});
  try {
    run_checked({.argv = argv}, Deadline::in(std::chrono::minutes(1)), stop);
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove(part, ignored);
    throw;
  }
  if (::rename(part.c_str(), file.c_str()) != 0) throw_errno("rename " + part.string());
}

void resize_volume(const State& state, const Volume& volume, const Stop& stop) {
  fs::path file = volume_file(state, volume.id);
  if (!fs::exists(file)) return;
  run_checked(
      {.argv = {"qemu-img", "resize", "-q", "-f", "qcow2", file.string(), std::to_string(volume.size * gib)}},
      Deadline::in(std::chrono::minutes(1)), stop);
}

TakenContent take_content(const State& state, const Volume& volume, const std::string& snapshot_id,
                          Journal& journal, const Stop& stop) {
  TakenContent out{snapshot_id + ".qcow2", volume.chain};
  fs::path to = snapshot_file(state, out.file);
  made(to.parent_path());
  Unfinished unfinished(to, journal);
  if (volume.chain.size() < longest_chain) {
    copy_disk(volume_file(state, volume.id), unfinished.path());
  } else {
    out.chain.clear();
    run_checked({.argv = {"qemu-img", "convert", "-q", "-U", "-f", "qcow2", "-O", "qcow2",
                          volume_file(state, volume.id).string(), unfinished.path().string()}},
                Deadline::in(disk_limit), stop);
  }
  unfinished.finish();
  return out;
}

int64_t import_disk(const State& state, const fs::path& image, const std::string& snapshot_id,
                    Journal& journal, const Stop& stop) {
  std::string info = run_checked({.argv = {"qemu-img", "info", "--output=json", image.string()}},
                                 Deadline::in(std::chrono::minutes(1)), stop);
  auto json = nlohmann::json::parse(info, nullptr, false);
  if (!json.is_object() || !json.contains("virtual-size")) {
    throw Error(ErrorKind::user, image.string() + " is no disk image that qemu-img knows");
  }
  auto size = json["virtual-size"].get<int64_t>();
  fs::path to = snapshot_file(state, snapshot_id + ".qcow2");
  made(to.parent_path());
  Unfinished unfinished(to, journal);
  bool as_it_is = json.value("format", "raw") == "qcow2" && !json.contains("backing-filename");
  if (!as_it_is || !shared_content(image, unfinished.path())) {
    run_checked({.argv = {"qemu-img", "convert", "-q", "-f", json.value("format", "raw"), "-O", "qcow2", image.string(),
                          unfinished.path().string()}},
                Deadline::in(disk_limit), stop);
  }
  unfinished.finish();
  return std::max<int64_t>(1, (size + gib - 1) / gib);
}

void export_disk(const State& state, const Snapshot& snapshot, const fs::path& to, const std::string& format,
                 Journal& journal, const Stop& stop) {
  Unfinished unfinished(to, journal);
  run_checked({.argv = {"qemu-img", "convert", "-q", "-U", "-f", "qcow2", "-O", format,
                        snapshot_file(state, snapshot.file).string(), unfinished.path().string()}},
              Deadline::in(disk_limit), stop);
  unfinished.finish();
}

fs::path upload_file(const State& state, const std::string& snapshot_id) {
  return snapshot_file(state, snapshot_id + ".raw.part");
}

TakenContent take_uploaded(const State& state, const std::string& snapshot_id, Journal& journal,
                           const Stop& stop) {
  TakenContent out{snapshot_id + ".qcow2", {}};
  Unfinished unfinished(snapshot_file(state, out.file), journal);
  run_checked({.argv = {"qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2",
                        upload_file(state, snapshot_id).string(), unfinished.path().string()}},
              Deadline::in(disk_limit), stop);
  unfinished.finish();
  return out;
}

void remove_when_kept(State& state, std::vector<fs::path> files) {
  state.when_kept([files = std::move(files)] {
    std::error_code ignored;
    for (const auto& file : files) fs::remove(file, ignored);
  });
}

void sweep_snapshots(State& state) {
  state.refresh();
  std::set<std::string> used;
  for (const auto& [id, snapshot] : state.snapshots) {
    used.insert(id + ".qcow2");
    used.insert(snapshot.file);
    used.insert(snapshot.chain.begin(), snapshot.chain.end());
  }
  for (const auto& [id, volume] : state.volumes) used.insert(volume.chain.begin(), volume.chain.end());
  std::error_code error;
  std::vector<fs::path> unused;
  for (const auto& entry : fs::directory_iterator(state.directory() / "snapshots", error)) {
    std::string name = entry.path().filename().string();
    bool upload = name.ends_with(".raw.part") && !state.snapshots.contains(name.substr(0, name.find('.')));
    if (upload || (name.ends_with(".qcow2") && !used.contains(name))) unused.push_back(entry.path());
  }
  remove_when_kept(state, std::move(unused));
}

}  // namespace kiln::ec2
