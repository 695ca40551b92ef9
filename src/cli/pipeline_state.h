// What Kiln remembers of a pipeline between runs: how it was called last, and what was published.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kiln {

/// Of one pipeline file, within the state directory.
std::filesystem::path pipeline_state_directory(const std::filesystem::path& pipeline);

/// How the last run was called, for -resume. Values of sensitive variables are not in it.
struct LastRun {
  std::vector<std::pair<std::string, std::string>> variables;
  std::vector<std::string> variable_files;
  std::vector<std::string> targets;
  std::vector<std::string> left_out;  ///< names of sensitive variables that were given
  bool finished = false;              ///< it went well to its end
};
std::optional<LastRun> read_last_run(const std::filesystem::path& pipeline);
void write_last_run(const std::filesystem::path& pipeline, const LastRun& run);

/// Stage and the key of what was published of it last.
std::map<std::string, std::string> read_published(const std::filesystem::path& pipeline);
void write_published(const std::filesystem::path& pipeline, const std::map<std::string, std::string>& published);

}  // namespace kiln
