#include "cli/pipeline_input.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/diagnostic_text.h"
#include "cli/pipeline_module.h"
#include "core/journal.h"

namespace kiln {

bool is_pipeline_path(const std::string& path) { return path.ends_with(".kiln.hcl") || path.ends_with(".kiln.json"); }

fs::path find_pipeline(const std::vector<std::string>& arguments) {
  if (arguments.size() > 1)
    throw Error(ErrorKind::user, "One pipeline can be run at a time; this names several: " + join(arguments, ", "));
  fs::path named = arguments.empty() ? fs::path(".") : fs::path(arguments[0]);
  std::error_code error;
  if (!fs::exists(named, error)) throw Error(ErrorKind::user, fmt::format("There is no file {}.", named.string()));
  if (!fs::is_directory(named, error)) {
    if (is_pipeline_path(named.string())) return named;
    throw Error(
        ErrorKind::user,
        fmt::format("{} is no pipeline: its name does not end in .kiln.hcl. To build a template alone: kiln build {}",
                    named.string(), named.string()));
  }
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(named)) {
    if (is_pipeline_path(entry.path().filename().string()))
      found.push_back((named / entry.path().filename()).lexically_normal());
  }
  std::sort(found.begin(), found.end());
  if (found.empty()) {
    throw Error(ErrorKind::user,
                fmt::format("There is no pipeline (*.kiln.hcl) in {}. docs/pipelines.md shows how one is written.",
                            named == "." ? "this directory" : named.string()));
  }
  if (found.size() > 1) {
    std::vector<std::string> names;
    names.reserve(found.size());
    for (const auto& path : found) names.push_back(path.string());
    throw Error(ErrorKind::user, "There are several pipelines here; name one of them: " + join(names, ", "));
  }
  return found[0];
}

std::unique_ptr<LoadedPipeline> load_pipeline(Invocation& invocation, const CommandOptions& options,
                                              const fs::path& path) {
  auto input = load_hcl(invocation, options, path.string(), DataSources::run, pipeline_blocks());
  if (!input) return nullptr;
  auto out = std::make_unique<LoadedPipeline>();
  out->input = std::move(*input);
  out->path = fs::absolute(path).lexically_normal();
  out->directory = out->path.parent_path();
  Diagnostics diagnostics = out->input.warnings;
  validate_hcl_variables(*out->input.config, out->input.environment.host, diagnostics);
  if (!diagnostics.has_errors()) {
    out->pipeline = std::make_unique<Pipeline>(
        out->input.config, out->input.environment, out->directory.string(),
        module_finder(out->path, state_directory(), options.update_modules, Stop()), diagnostics);
    for (const auto& secret : out->pipeline->secrets()) invocation.redactor->add(secret);
  }
  if (diagnostics.has_errors()) {
    invocation.ui().error(hcl_text(diagnostics));
    return nullptr;
  }
  if (!diagnostics.empty()) invocation.ui().say(hcl_text(diagnostics));
  return out;
}

}  // namespace kiln
