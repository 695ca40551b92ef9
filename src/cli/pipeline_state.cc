#include "cli/pipeline_state.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "core/journal.h"

namespace kiln {

namespace {

using Json = nlohmann::json;

constexpr int state_version = 1;

/// A file that is damaged or of another version says nothing.
Json read_state(const fs::path& file) {
  auto text = read_file_if_exists(file);
  Json out = text ? Json::parse(*text, nullptr, false) : Json();
  if (!out.is_object() || out.value("version", 0) != state_version) return Json();
  return out;
}

void write_state(const fs::path& file, Json state) {
  std::error_code ignored;
  fs::create_directories(file.parent_path(), ignored);
  state["version"] = state_version;
  write_file_atomically(file, state.dump(1) + "\n", 0600);
}

}  // namespace

fs::path pipeline_state_directory(const fs::path& pipeline) {
  return state_directory() / "pipelines" /
         digest_hex("sha256", fs::absolute(pipeline).lexically_normal().string()).substr(0, 24);
}

std::optional<LastRun> read_last_run(const fs::path& pipeline) {
  Json state = read_state(pipeline_state_directory(pipeline) / "last-run.json");
  if (state.is_null()) return std::nullopt;
  LastRun out;
  try {
    for (const auto& one : state.at("variables")) out.variables.emplace_back(one.at("name"), one.at("value"));
    out.variable_files = state.at("variable_files").get<std::vector<std::string>>();
    out.targets = state.at("targets").get<std::vector<std::string>>();
    out.left_out = state.at("left_out").get<std::vector<std::string>>();
    out.finished = state.at("finished");
  } catch (const Json::exception&) {
    return std::nullopt;
  }
  return out;
}

void write_last_run(const fs::path& pipeline, const LastRun& run) {
  Json state;
  state["pipeline"] = pipeline.string();
  state["variables"] = Json::array();
  for (const auto& [name, value] : run.variables) state["variables"].push_back({{"name", name}, {"value", value}});
  state["variable_files"] = run.variable_files;
  state["targets"] = run.targets;
  state["left_out"] = run.left_out;
  state["finished"] = run.finished;
  write_state(pipeline_state_directory(pipeline) / "last-run.json", std::move(state));
}

std::map<std::string, std::string> read_published(const fs::path& pipeline) {
  Json state = read_state(pipeline_state_directory(pipeline) / "published.json");
  std::map<std::string, std::string> out;
  if (state.is_null() || !state.contains("published") || !state["published"].is_object()) return out;
  for (const auto& [stage, key] : state["published"].items()) {
    if (key.is_string()) out[stage] = key;
  }
  return out;
}

void write_published(const fs::path& pipeline, const std::map<std::string, std::string>& published) {
  Json state;
  state["published"] = published;
  write_state(pipeline_state_directory(pipeline) / "published.json", std::move(state));
}

}  // namespace kiln
