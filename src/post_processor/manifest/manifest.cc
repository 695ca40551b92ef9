#include "post_processor/manifest/manifest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

using Json = nlohmann::ordered_json;

struct ManifestConfig {
  std::string output;
  bool strip_path = false;
  bool strip_time = false;
  std::map<std::string, std::string> custom_data;
};

const OptionTable<ManifestConfig>& manifest_options() {
  static const OptionTable<ManifestConfig> table = [] {
    OptionTable<ManifestConfig> made;
    made.add(&ManifestConfig::output, {.name = "output",
                                       .default_text = "packer-manifest.json",
                                       .doc = "The file to write or to add to.",
                                       .places = true});
    made.add(&ManifestConfig::strip_path,
             {.name = "strip_path", .default_text = "false", .doc = "Only base names of the files."});
    made.add(&ManifestConfig::strip_time,
             {.name = "strip_time", .default_text = "false", .doc = "No build_time."});
    made.add(&ManifestConfig::custom_data,
             {.name = "custom_data", .doc = "Further strings to note; templates over build data."});
    return made;
  }();
  return table;
}

/// JSON as Go's encoder writes it: two spaces, <, > and & escaped, empty containers on one line.
std::string go_json(const Json& value) {
  std::string text = value.dump(2, ' ', false, Json::error_handler_t::replace);
  text = replace_all(text, "<", "\\u003c");
  text = replace_all(text, ">", "\\u003e");
  text = replace_all(text, "&", "\\u0026");
  text = replace_all(text, "\xe2\x80\xa8", "\\u2028");
  return replace_all(text, "\xe2\x80\xa9", "\\u2029");
}

Json string_or_empty(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? *found : Json("");
}

/// One entry with Packer's members in Packer's order; what it does not know is dropped, as Packer does.
Json normalized_entry(const Json& entry) {
  Json out;
  out["name"] = string_or_empty(entry, "name");
  out["builder_type"] = string_or_empty(entry, "builder_type");
  if (auto time = entry.find("build_time"); time != entry.end() && time->is_number_integer() && *time != 0) {
    out["build_time"] = *time;
  }
  out["files"] = nullptr;
  if (auto files = entry.find("files"); files != entry.end() && files->is_array()) {
    out["files"] = Json::array();
    for (const auto& file : *files) {
      int64_t size =
          file.contains("size") && file["size"].is_number_integer() ? file["size"].get<int64_t>() : 0;
      out["files"].push_back({{"name", string_or_empty(file, "name")}, {"size", size}});
    }
  }
  out["artifact_id"] = string_or_empty(entry, "artifact_id");
  out["packer_run_uuid"] = string_or_empty(entry, "packer_run_uuid");
  out["custom_data"] = nullptr;
  if (auto data = entry.find("custom_data"); data != entry.end() && data->is_object()) {
    std::map<std::string, Json> sorted;
    for (const auto& [key, value] : data->items()) sorted[key] = value;
    out["custom_data"] = Json::object();
    for (auto& [key, value] : sorted) out["custom_data"][key] = value;
  }
  return out;
}

class ManifestPostProcessor : public PostProcessor {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = {};
    DecodeContext decode = input.decode("post-processor manifest");
    manifest_options().decode(input.config, config_, decode);
    if (config_.output.empty()) config_.output = "packer-manifest.json";
  }
  PostProcessed run(const Artifact& input, StageContext& context) override;

 private:
  Json entry_of(const Artifact& input, const StageContext& context) const;
  Json read_builds(const StageContext& context) const;

  ManifestConfig config_;
};

Json ManifestPostProcessor::entry_of(const Artifact& input, const StageContext& context) const {
  Json entry;
  entry["name"] = context.build.name;
  entry["builder_type"] = context.build.builder_type;
  if (!config_.strip_time) {
    entry["build_time"] =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
  }
  if (!input.files.empty()) entry["files"] = Json::array();
  for (const auto& file : input.files) {
    std::error_code error;
    auto size = fs::file_size(file, error);
    if (error && !fs::exists(file)) {
      throw Error(ErrorKind::environment, fmt::format("stat {}: no such file or directory", file));
    }
    std::string name = config_.strip_path ? fs::path(file).filename().string() : file;
    entry["files"].push_back({{"name", name}, {"size", error ? 0 : size}});
  }
  entry["artifact_id"] = input.id;
  entry["packer_run_uuid"] = context.build.run_id;
  for (const auto& [key, text] : config_.custom_data) {
    Rendered rendered = render_template(text, context.scope, context.scope.build_data);
    if (!rendered.ok()) throw Error(ErrorKind::user, *rendered.error);
    entry["custom_data"][key] = rendered.text;
  }
  return normalized_entry(entry);
}

/// The entries that are there and stay: -force starts a new list, once a run.
Json ManifestPostProcessor::read_builds(const StageContext& context) const {
  auto text = read_file_if_exists(config_.output);
  if (!text || text->empty()) return Json::array();
  auto unreadable = [&](const std::string& why) {
    return Error(ErrorKind::user, fmt::format("Unable to parse content from {}: {}", config_.output, why));
  };
  Json manifest;
  try {
    manifest = Json::parse(*text);
  } catch (const Json::parse_error& error) {
    throw unreadable(error.what());
  }
  if (!manifest.is_object()) throw unreadable("it is no JSON object");
  if (context.build.force && string_or_empty(manifest, "last_run_uuid") != context.build.run_id)
    return Json::array();
  Json builds = Json::array();
  if (auto found = manifest.find("builds"); found != manifest.end() && found->is_array()) {
    for (const auto& entry : *found) {
      if (entry.is_object()) builds.push_back(normalized_entry(entry));
    }
  }
  return builds;
}

/// OUTPUT.lock, held while the list is read and written, and removed after. Builds of one run end together
/// and really wait for each other; Packer tries three times and then goes on without.
class OutputLock {
 public:
  OutputLock(const std::string& output, StageContext& context) : path_(output + ".lock") {
    Deadline deadline = Deadline::in(std::chrono::seconds(10));
    while (!try_take()) {
      if (deadline.passed()) return;  // as Packer: better without than never
      wait({}, deadline.at_most(Millis(10)), context.stop);
    }
  }
  ~OutputLock() {
    if (file_.is_open()) ::unlink(path_.c_str());
  }
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;

 private:
  /// The lock counts only if the file still has its name: the one before us may have removed it meanwhile.
  bool try_take() {
    Fd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!file.is_open()) throw_errno("open " + path_.string());
    struct stat ours {};
    struct stat named {};
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(file.get(), &ours) != 0 ||
        ::stat(path_.c_str(), &named) != 0 || ours.st_ino != named.st_ino) {
      return false;
    }
    file_ = std::move(file);
    return true;
  }

  fs::path path_;
  Fd file_;
};

PostProcessed ManifestPostProcessor::run(const Artifact& input, StageContext& context) {
  Json entry = entry_of(input, context);
  fs::path directory = fs::path(config_.output).parent_path();
  if (!directory.empty() && !fs::is_directory(directory)) {
    throw Error(ErrorKind::user, fmt::format("Unable to write {}: open {}: no such file or directory",
                                             config_.output, config_.output));
  }
  OutputLock lock(config_.output, context);
  Json manifest;
  manifest["builds"] = read_builds(context);
  manifest["builds"].push_back(entry);
  manifest["last_run_uuid"] = context.build.run_id;
  during("Unable to write " + config_.output,
         [&] { write_file_atomically(config_.output, go_json(manifest), 0664); });
  return {input, true, true};
}

}  // namespace

ComponentEntry<PostProcessor> manifest_post_processor() {
  return {"manifest", "Notes what was built in a JSON file.", manifest_options,
          [] { return std::make_unique<ManifestPostProcessor>(); }};
}

}  // namespace kiln
