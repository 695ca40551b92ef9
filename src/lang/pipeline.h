// Pipelines (`*.kiln.hcl`): stages that make images of each other's images, with tests between them. Ours, not
// Packer's, in the same language: docs/pipelines.md. Pure: files come as text.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lang/hcl_ast.h"
#include "lang/hcl_value.h"
#include "lang/packer_hcl.h"
#include "lang/template.h"

namespace kiln {

/// A stage block; nothing of it is evaluated yet.
struct PipelineStage {
  std::string name;                ///< within its module
  size_t module = 0;               ///< index of the module it stands in; 0: the pipeline itself
  SourceRange range;
  HclContent content;              ///< attributes of the stage itself
  std::vector<HclBlock> tests;     ///< test "KIND" {}, with those of `defaults` last
  std::vector<HclBlock> publishes; ///< publish "TYPE" {}
  std::vector<HclBlock> sources;   ///< of a build written in the stage
  std::vector<HclBlock> builds;
};

/// What an instance needs: another instance, or all of a stage's.
struct PipelineNeed {
  size_t stage = 0;
  size_t module = 0;               ///< the module in whose scope the reference stands
  std::optional<size_t> instance;  ///< index into Pipeline::instances; nullopt: all of the stage's
  bool one_artifact = false;       ///< it asks for `.artifact`, so there must be exactly one
  SourceRange range;
};

/// A stage, or one of those that its for_each makes of it: a node of the graph.
struct PipelineInstance {
  std::string name;  ///< `base`, `custom["staging"]`; of a module `web.base`
  size_t stage = 0;
  HclValue each;     ///< {key, value}; null without for_each
  std::vector<PipelineNeed> needs;
};

/// An artifact as other stages see it. Files are absolute paths.
struct StageArtifact {
  std::string build;  ///< the build's name within its template
  std::string id;
  std::vector<std::string> files;
  std::string digest;
  std::string builder_id;
};

/// What `defaults` and `pipeline` say.
struct PipelineSettings {
  std::string name;  ///< default: the file's name without its suffix
  std::string description;
  std::map<std::string, int64_t> slots;  ///< how much there is of each; memory in bytes
};

/// A test or publish block, evaluated.
struct StageTest {
  std::string kind;
  std::string name;                    ///< default: the kind
  Value config;                        ///< of the tester
  std::optional<Value> machine;        ///< members that replace those of the machine's configuration
  std::string machine_type;            ///< the builder that starts it; empty: the one that made the artifact
  std::vector<std::string> wait_for;
  std::chrono::nanoseconds wait_timeout{0};  ///< 0: the default
  std::chrono::nanoseconds timeout{0}; ///< of waiting and testing together; 0: the default
  SourceRange range;
};
struct StagePublish {
  std::string type;
  std::string name;
  Value config;
  SourceRange range;
};

/// An instance's attributes, as far as they are known. What waits for another stage is an unknown value.
struct StageSettings {
  std::string template_path;  ///< empty: the build is written in the pipeline
  std::string directory;      ///< where it runs, relative to the pipeline's; default: the pipeline's
  std::vector<std::string> only;
  std::vector<std::string> except;
  std::vector<std::string> variable_files;
  std::vector<std::pair<std::string, Value>> variables;  ///< defaults first
  std::map<std::string, int64_t> slots;                  ///< cpus, memory (bytes), others
  std::optional<bool> seal;
  SourceRange template_range;
  SourceRange variables_range;
};

/// A pipeline file that another one uses, as found by whoever reads files.
struct PipelineModuleSource {
  std::shared_ptr<PackerHcl> config;  ///< read with pipeline_blocks(); variables without values
  std::string directory;              ///< absolute: where its stages run
  HclHost host;                       ///< file() and the like start there
};
/// Finds `source`, relative to `directory` (of the file that names it). nullopt: what is wrong was told.
using PipelineModuleFinder = std::function<std::optional<PipelineModuleSource>(
    const std::string& source, const std::string& directory, const SourceRange& range, Diagnostics& diagnostics)>;

struct PipelineOutput {
  std::string name;
  HclWritten expression;
  bool sensitive = false;
  std::string description;
  SourceRange range;
};

/// A pipeline file whose variables have values. Reading tells everything that is wrong without building: unknown
/// stages, circles, wrong types. Const members may be called from any thread.
class Pipeline {
 public:
  /// `config` is read with pipeline_blocks() and has its variables' values. `environment` outlives the pipeline.
  /// `directory` is where it lies; `find_module` may be empty where there are no modules.
  Pipeline(std::shared_ptr<const PackerHcl> config, const HclEnvironment& environment, const std::string& directory,
           const PipelineModuleFinder& find_module, Diagnostics& diagnostics);
  ~Pipeline();

  const PipelineSettings& settings() const { return settings_; }
  const std::vector<PipelineStage>& stages() const { return stages_; }
  const std::vector<PipelineInstance>& instances() const { return instances_; }
  const std::vector<size_t>& instances_of(size_t stage) const { return of_stage_[stage]; }
  const std::vector<PipelineOutput>& outputs() const;
  /// Strings that must be masked.
  std::vector<std::string> secrets() const;

  /// Instances in an order in which each comes after what it needs. Empty when there is a circle (it was told).
  const std::vector<size_t>& order() const { return order_; }

  /// What an instance made; `known` false: unknown values. Thread-safe.
  void set_artifacts(size_t instance, const std::vector<StageArtifact>& artifacts);

  /// What it made; empty while that is not known. Thread-safe.
  std::vector<StageArtifact> artifacts(size_t instance) const;

  StageSettings evaluate(size_t instance, Diagnostics& diagnostics) const;
  /// With the stage's own `artifact` in scope, when it is there.
  std::vector<StageTest> tests(size_t instance, const StageArtifact* artifact, Diagnostics& diagnostics) const;
  std::vector<StagePublish> publishes(size_t instance, const StageArtifact* artifact, Diagnostics& diagnostics) const;
  /// The build that is written in the stage, as a Template; `host` may differ from the environment's.
  Template inline_template(size_t instance, const HclHost& host, const StageSettings& settings,
                           Diagnostics& diagnostics) const;
  bool has_inline_build(size_t instance) const { return !stages_[instances_[instance].stage].builds.empty(); }
  HclValue output(const PipelineOutput& output, Diagnostics& diagnostics) const;

 private:
  struct Module;
  struct Scope;
  class Reader;
  std::unique_ptr<Scope> scope_of(size_t instance, const StageArtifact* artifact) const;
  /// What names mean in a module: its variables as they are now, and the stages and modules that `needs` name in it.
  std::unique_ptr<Scope> module_scope(size_t module, const std::vector<PipelineNeed>& needs,
                                      Diagnostics& diagnostics) const;
  void add_stages(size_t module, const std::vector<PipelineNeed>& needs, Scope& scope) const;
  HclValue outputs_value(size_t module, Diagnostics& diagnostics) const;
  HclValue stage_value(size_t stage, std::optional<size_t> only) const;
  HclValue instance_value(size_t instance) const;

  const HclEnvironment& environment_;
  PipelineSettings settings_;
  std::vector<std::unique_ptr<Module>> modules_;  ///< the first is the pipeline itself; each after the one that uses it
  std::vector<PipelineStage> stages_;
  std::vector<PipelineInstance> instances_;
  std::vector<std::vector<size_t>> of_stage_;
  std::vector<size_t> order_;
  struct Results;
  std::unique_ptr<Results> results_;
};

/// The block types that a pipeline file has besides those of a template.
const std::vector<HclBlockSchema>& pipeline_blocks();

}  // namespace kiln
