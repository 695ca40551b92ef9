#include "core/state_manifest.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "core/image_index.h"

namespace kiln {

namespace {

using Json = nlohmann::json;

constexpr int manifest_version = 1;

int64_t to_ns(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

std::chrono::system_clock::time_point from_ns(int64_t ns) {
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(ns)));
}

Json files_json(const std::map<std::string, StateFile>& files) {
  Json out = Json::object();
  for (const auto& [name, file] : files) {
    out[name] = {{"size", file.stamp.size},
                 {"inode", file.stamp.inode},
                 {"mtime", file.stamp.mtime},
                 {"sha256", file.digest}};
  }
  return out;
}

std::map<std::string, StateFile> files_of(const Json& json) {
  std::map<std::string, StateFile> out;
  for (const auto& [name, file] : json.items()) {
    out[name] = {{file.at("size"), file.at("inode"), file.at("mtime")}, file.at("sha256")};
  }
  return out;
}

const char* word(EventKind kind) {
  return kind == EventKind::error ? "error" : kind == EventKind::message ? "message" : "say";
}

EventKind kind_of(const std::string& word) {
  return word == "error" ? EventKind::error : word == "message" ? EventKind::message : EventKind::say;
}

Json value_json(const Value& value) { return Json::parse(stored_json(value)); }

MachineState state_of(const Json& json, const std::string& name) {
  MachineState out;
  out.key = json.at("key");
  out.instance = json.at("instance");
  out.parent = json.at("parent");
  out.parent_instance = json.at("parent_instance");
  out.builder_type = json.at("builder_type");
  out.build = json.at("build");
  out.step = json.at("step");
  out.number = json.at("number");
  out.failed = json.at("failed");
  out.document = parse_stored_json(json.at("document").dump(), name);
  out.details = parse_stored_json(json.at("details").dump(), name);
  for (const auto& line : json.at("output")) {
    Event event;
    event.kind = kind_of(line.at("kind"));
    event.text = line.at("text");
    out.output.push_back(std::move(event));
  }
  out.cost = std::chrono::nanoseconds(json.at("cost_ns").get<int64_t>());
  out.made = from_ns(json.at("made_ns"));
  out.bytes = json.at("bytes");
  return out;
}

std::vector<std::string> names_of(const std::map<std::string, StateFile>& files) {
  std::vector<std::string> out;
  out.reserve(files.size());
  for (const auto& [name, file] : files) out.push_back(name);
  return out;
}

}  // namespace

std::string manifest_text(const StateManifest& manifest) {
  const MachineState& state = manifest.state;
  Json output = Json::array();
  for (const auto& event : state.output) output.push_back({{"kind", word(event.kind)}, {"text", event.text}});
  Json out = {{"version", manifest_version},
              {"key", state.key},
              {"instance", state.instance},
              {"parent", state.parent},
              {"parent_instance", state.parent_instance},
              {"builder_type", state.builder_type},
              {"build", state.build},
              {"step", state.step},
              {"number", state.number},
              {"failed", state.failed},
              {"document", value_json(state.document)},
              {"details", value_json(state.details)},
              {"output", std::move(output)},
              {"cost_ns", state.cost.count()},
              {"made_ns", to_ns(state.made)},
              {"bytes", state.bytes},
              {"files", files_json(manifest.files)},
              {"layers", files_json(manifest.layers)},
              {"depends", files_json(manifest.depends)}};
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

StateManifest parse_manifest(const std::string& text, const std::string& name) {
  try {
    Json json = Json::parse(text);
    if (json.at("version") != manifest_version) {
      throw Error(ErrorKind::environment, fmt::format("{} is of version {}, which this Kiln does not know",
                                                      name, json.at("version").dump()));
    }
    StateManifest out{state_of(json, name), files_of(json.at("files")), files_of(json.at("layers")),
                      files_of(json.at("depends"))};
    out.state.layers = names_of(out.layers);
    out.state.depends = names_of(out.depends);
    return out;
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::environment, fmt::format("{} is no machine state: {}", name, error.what()));
  }
}

}  // namespace kiln
