// What the files of pipeline share.
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "lang/hcl_body.h"
#include "lang/pipeline.h"

namespace kiln {

/// What `defaults` may say for all stages.
const HclSchema& pipeline_defaults_schema();
/// Bytes: a number of MiB, or text like "512M", "2G". nullopt: it is none.
std::optional<int64_t> parse_memory(const HclValue& value);
/// slots = { cpus = 2, memory = "2G", license = 1 }; "memory" in bytes, all others as they are.
void read_slots(const HclAttribute& attribute, const HclScope& scope, std::map<std::string, int64_t>& out,
                Diagnostics& diagnostics);
/// "atlas" for "examples/atlas/atlas.kiln.hcl".
std::string pipeline_name_of(const std::string& path);

/// The pipeline, or another one that it uses.
struct Pipeline::Module {
  std::string name;       ///< "" for the pipeline, "web", "web.db"
  size_t parent = 0;
  std::string directory;
  std::shared_ptr<const PackerHcl> config;
  HclEnvironment environment;
  HclExpressionPtr variables;  ///< what the parent gives it; null: nothing
  std::vector<PipelineNeed> variables_need;  ///< stages that they refer to, in the parent's scope
  SourceRange range;
  std::unique_ptr<HclEvaluation> evaluation;  ///< with what is known before anything is built
  HclContent defaults;
  std::map<std::string, size_t, std::less<>> stage_index;
  std::map<std::string, size_t, std::less<>> module_index;
  std::vector<PipelineOutput> outputs;
};

/// The module's evaluation with these values of its variables (an object; null: none). Sensitive values stay so.
std::unique_ptr<HclEvaluation> evaluate_module(const PackerHcl& config, const HclEnvironment& environment,
                                               const HclValue& variables, const SourceRange& range,
                                               Diagnostics& diagnostics);

/// The stages' artifacts so far.
struct Pipeline::Results {
  mutable std::mutex mutex;
  std::map<size_t, std::vector<StageArtifact>> of_instance;
  mutable std::map<size_t, HclValue> whole;  ///< of stages whose instances have all ended
};

}  // namespace kiln
