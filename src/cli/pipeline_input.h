// Reading a pipeline file: which, its variables, what is wrong with it.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/hcl_input.h"
#include "lang/pipeline.h"

namespace kiln {

struct LoadedPipeline {
  HclInput input;
  std::unique_ptr<Pipeline> pipeline;
  std::filesystem::path path;       ///< absolute
  std::filesystem::path directory;  ///< absolute: where its stages run
};

/// Whether the word names a pipeline rather than a template.
bool is_pipeline_path(const std::string& path);
/// The file named, or the only `*.kiln.hcl` of the directory named or of this one. Throws Error{user}.
std::filesystem::path find_pipeline(const std::vector<std::string>& arguments);
/// What is wrong is shown; then nullptr.
std::unique_ptr<LoadedPipeline> load_pipeline(Invocation& invocation, const CommandOptions& options,
                                              const std::filesystem::path& path);

}  // namespace kiln
