#include "provisioner/file/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/guest_script.h"
#include "kit/lfs_pointer.h"

namespace kiln {

namespace {

constexpr uintmax_t quick_bytes = 1 << 20;
constexpr size_t most_quick_files = 4;

struct FileConfig {
  std::string content;
  std::string source;
  std::vector<std::string> sources;
  std::string destination;
  std::string direction;
  bool generated = false;
};

const OptionTable<FileConfig>& file_options() {
  static const OptionTable<FileConfig> table = [] {
    OptionTable<FileConfig> made;
    made.add(&FileConfig::content,
             {.name = "content", .doc = "Text of the file to send, instead of a source."});
    made.add(
        &FileConfig::source,
        {.name = "source",
         .doc =
             "Path of the file or directory to send (or to fetch). A directory with a trailing slash stands "
             "for its contents, without one for itself.", .reads = true});
    made.add(&FileConfig::sources, {.name = "sources", .doc = "Several sources.", .reads = true});
    made.add(
        &FileConfig::destination,
        {.name = "destination", .doc = "Where it goes; with a trailing slash, the directory it goes into."});
    made.add(&FileConfig::direction,
             {.name = "direction", .default_text = "upload", .doc = "\"upload\" or \"download\"."});
    made.add(&FileConfig::generated,
             {.name = "generated",
              .default_text = "false",
              .doc = "The sources are made during the build, so they need not exist when it is checked."});
    return made;
  }();
  return table;
}

/// Progress events at most ten times a second, and the last one.
ProgressFn upload_progress(StageContext& context, const std::string& what) {
  auto last = std::make_shared<Clock::time_point>();
  return [&context, what, last](uint64_t done, uint64_t total) {
    auto now = Clock::now();
    if (done != total && now - *last < Millis(100)) return;
    *last = now;
    context.ui.progress(what, done, total);
  };
}

std::string base_of(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return fs::path(path).filename().string();
}

std::string join_remote(const std::string& directory, const std::string& name) {
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

/// Quoted for a shell, with a leading ~/ left to it.
std::string quote_remote(const std::string& path) {
  if (path == "~" || path == "~/") return path;
  return path.starts_with("~/") ? "~/" + shell_quote(path.substr(2)) : shell_quote(path);
}

class FileProvisioner : public Provisioner {
 public:
  void prepare(const PrepareInput& input) override;
  void run(Communicator& communicator, StageContext& context) override;
  bool is_quick() const override;

 private:
  void upload(Communicator& communicator, StageContext& context) const;
  void upload_content(Communicator& communicator, const std::string& destination,
                      StageContext& context) const;
  void upload_one(Communicator& communicator, const std::string& source, const std::string& destination,
                  StageContext& context) const;
  void download(Communicator& communicator, StageContext& context) const;
  void download_one(Communicator& communicator, const std::string& source, const std::string& destination,
                    StageContext& context) const;
  std::string render(const std::string& text, StageContext& context) const;

  FileConfig config_;
};

void FileProvisioner::prepare(const PrepareInput& input) {
  config_ = {};
  DecodeContext decode = input.decode("provisioner file");
  file_options().decode(input.config, config_, decode);
  auto place = [&](const char* key) {
    const Value* value = input.config.find(key);
    return value != nullptr ? value->range : input.config.range;
  };
  if (config_.direction.empty()) config_.direction = "upload";
  if (config_.direction != "upload" && config_.direction != "download") {
    input.diagnostics.error("Direction must be one of: download, upload.", "", place("direction"));
  }
  if (!config_.source.empty()) config_.sources.push_back(config_.source);
  for (const auto& source : config_.sources) {
    bool known = !contains(source, "{{") && !contains(source, "<unknown>");
    std::error_code error;
    if (config_.direction != "upload" || config_.generated || !known || fs::exists(source, error)) continue;
    input.diagnostics.error(
        fmt::format("Bad source '{}': stat {}: no such file or directory", source, source), "",
        place(source == config_.source ? "source" : "sources"));
  }
  if (!config_.sources.empty() && !config_.content.empty()) {
    input.diagnostics.error("source(s) conflicts with content.", "", place("content"));
  }
  if (config_.destination.empty()) {
    input.diagnostics.error("Destination must be specified.", "", place("destination"));
  }
}

/// A few files that are known now, no more than quick_bytes together.
bool FileProvisioner::is_quick() const {
  if (config_.direction != "upload" || config_.generated || config_.sources.size() > most_quick_files) return false;
  uintmax_t bytes = config_.content.size();
  for (const auto& source : config_.sources) {
    std::error_code error;
    if (!fs::is_regular_file(source, error)) return false;
    bytes += fs::file_size(source, error);
    if (error) return false;
  }
  return bytes <= quick_bytes;
}

std::string FileProvisioner::render(const std::string& text, StageContext& context) const {
  if (!contains(text, "{{")) return text;
  Rendered rendered = render_template(text, context.scope, context.scope.build_data);
  if (!rendered.ok()) throw Error(ErrorKind::user, "Error interpolating: " + *rendered.error);
  return rendered.text;
}

void FileProvisioner::run(Communicator& communicator, StageContext& context) {
  if (config_.direction == "download")
    download(communicator, context);
  else
    upload(communicator, context);
}

void FileProvisioner::upload(Communicator& communicator, StageContext& context) const {
  std::string destination = render(config_.destination, context);
  std::vector<std::string> sources;
  for (const auto& source : config_.sources) sources.push_back(render(source, context));
  refuse_lfs_pointers(std::vector<fs::path>(sources.begin(), sources.end()), context.stop);
  auto attempt = [&](auto&& body) {
    try {
      body();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::cancelled) context.ui.error("Upload failed: " + error.message());
      throw;
    }
  };
  if (sources.empty() && !config_.content.empty()) {
    attempt([&] { upload_content(communicator, destination, context); });
  }
  for (const auto& source : sources) {
    context.ui.say(fmt::format("Uploading {} => {}", source, destination));
    attempt([&] { upload_one(communicator, source, destination, context); });
  }
}

void FileProvisioner::upload_content(Communicator& communicator, const std::string& destination,
                                     StageContext& context) const {
  // Packer writes a temporary file and sends that; its name shows in the message and in a destination
  // directory.
  std::string name = fmt::format("pkr-file-content{}", std::random_device{}());
  std::string shown = (fs::temp_directory_path() / name).string();
  context.ui.say(fmt::format("Uploading {} => {}", shown, destination));
  std::string target = destination.ends_with('/') ? destination + name : destination;
  upload_text(communicator, target, config_.content, 0600, Deadline::never(), context.stop);
}

void FileProvisioner::upload_one(Communicator& communicator, const std::string& source,
                                 const std::string& destination, StageContext& context) const {
  Fd file(::open(source.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) {
    throw Error(ErrorKind::user, fmt::format("open {}: {}", source, go_errno_text(errno)));
  }
  auto progress = upload_progress(context, base_of(source));
  if (S_ISDIR(status.st_mode)) {
    std::string target = destination;
    if (!source.ends_with('/') && communicator.speaks_windows()) {
      target = destination + "\\" + base_of(source);
    } else if (!source.ends_with('/')) {
      // Like scp -r: into a directory that is there, or as one that is not.
      auto ignore = [](std::string_view) {};
      int answer = communicator.run("test -d " + quote_remote(destination), ignore, ignore, Deadline::never(),
                                    context.stop);
      if (answer == disconnected_status) {
        throw Error(ErrorKind::remote, "the connection was lost before the files were sent");
      }
      if (answer != 1) target = join_remote(destination, base_of(source));
    }
    communicator.upload_tree(source, target, progress, Deadline::never(), context.stop);
    return;
  }
  RemoteFile remote;
  bool directory = destination.ends_with('/') || (communicator.speaks_windows() && destination.ends_with('\\'));
  remote.path = directory ? destination + base_of(source) : destination;
  remote.size = static_cast<uint64_t>(status.st_size);
  remote.mode = static_cast<int>(status.st_mode & 0777);
  remote.local_file = file.get();
  uint64_t sent = 0;
  auto bytes = [&](char* buffer, size_t size) -> size_t {
    ssize_t got = ::read(file.get(), buffer, size);
    if (got < 0) throw_errno("read " + source);
    sent += static_cast<uint64_t>(got);
    progress(sent, remote.size);
    return static_cast<size_t>(got);
  };
  communicator.upload(remote, bytes, Deadline::never(), context.stop);
}

void FileProvisioner::download(Communicator& communicator, StageContext& context) const {
  std::string destination = render(config_.destination, context);
  for (const auto& raw : config_.sources) {
    std::string source = render(raw, context);
    context.ui.say(fmt::format("Downloading {} => {}", source, destination));
    try {
      download_one(communicator, source, destination, context);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::cancelled) context.ui.error("Download failed: " + error.message());
      throw;
    }
  }
}

/// A local file that appears under its name only when it is whole.
void download_file(Communicator& communicator, const std::string& source, const fs::path& target,
                   StageContext& context) {
  if (fs::is_directory(target)) {
    throw Error(ErrorKind::user, fmt::format("open {}: is a directory", target.string()));
  }
  fs::path part = target.string() + ".part-" + hex_encode(random_bytes(6));
  Fd file(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file.is_open())
    throw Error(ErrorKind::user, fmt::format("open {}: {}", target.string(), go_errno_text(errno)));
  auto progress = upload_progress(context, base_of(source));
  uint64_t done = 0;
  try {
    auto sink = [&](std::string_view bytes) {
      write_all(file.get(), bytes);
      done += bytes.size();
      progress(done, 0);
    };
    communicator.download(source, sink, Deadline::never(), context.stop);
    fs::rename(part, target);
  } catch (...) {
    ::unlink(part.c_str());
    throw;
  }
}

struct RemotePath {
  char kind = 'f';  ///< 'd' directory, 'x' file that can be executed, 'f' other file
  std::string path;
};

/// What a pattern means on the machine.
std::vector<RemotePath> expand_remote(Communicator& communicator, const std::string& pattern,
                                      StageContext& context) {
  std::string out;
  std::string quoted;
  for (char c : pattern) {  // everything but the pattern's own characters is literal
    bool plain =
        std::isalnum(static_cast<unsigned char>(c)) || contains("*?[]-^!/._~+:,@%", std::string_view(&c, 1));
    quoted += plain ? std::string(1, c) : shell_quote(std::string_view(&c, 1));
  }
  std::string command =
      "for f in " + quoted +
      "; do k=f; if [ -d \"$f\" ]; then k=d; elif [ ! -e \"$f\" ]; then continue; elif [ -x \"$f\" ]; " +
      "then k=x; fi; printf '%s %s\\n' $k \"$f\"; done";
  int status = communicator.run(
      command, [&](std::string_view bytes) { out += bytes; }, [](std::string_view) {}, Deadline::never(),
      context.stop);
  if (status != 0) throw Error(ErrorKind::remote, fmt::format("cannot list {} on the machine", pattern));
  std::vector<RemotePath> paths;
  for (auto& line : split(out, '\n')) {
    if (line.size() > 2) paths.push_back({line[0], line.substr(2)});
  }
  if (paths.empty()) throw Error(ErrorKind::remote, fmt::format("{}: no such file or directory", pattern));
  return paths;
}

void FileProvisioner::download_one(Communicator& communicator, const std::string& source,
                                   const std::string& destination, StageContext& context) const {
  bool is_pattern = source.find_first_of("*?[") != std::string::npos;
  fs::path directory =
      destination.ends_with('/') ? fs::path(destination) : fs::path(destination).parent_path();
  if (!directory.empty()) fs::create_directories(directory);
  if (is_pattern) {
    fs::create_directories(destination);
    for (const auto& found : expand_remote(communicator, source, context)) {
      fs::path target = fs::path(destination) / base_of(found.path);
      if (found.kind == 'd') {
        communicator.download_tree(found.path, target, Deadline::never(), context.stop);
        continue;
      }
      download_file(communicator, found.path, target, context);
      if (found.kind == 'x') ::chmod(target.c_str(), 0755);
    }
  } else if (source.ends_with('/')) {  // scp -r makes the directory itself, slash or not
    std::string from = source.size() > 1 ? source.substr(0, source.size() - 1) : source;
    communicator.download_tree(from, fs::path(destination) / base_of(source), Deadline::never(),
                               context.stop);
  } else {
    fs::path target =
        destination.ends_with('/') ? fs::path(destination) / base_of(source) : fs::path(destination);
    download_file(communicator, source, target, context);
  }
}

}  // namespace

ComponentEntry<Provisioner> file_provisioner() {
  return {"file", "Sends files and directories to the machine, or fetches them.", file_options,
          [] { return std::make_unique<FileProvisioner>(); }};
}

}  // namespace kiln
