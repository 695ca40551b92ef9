// One stage of a pipeline made ready: its template read with its variables, planned, keyed.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/pipeline_input.h"
#include "cli/template_cache.h"
#include "cli/template_input.h"
#include "core/build_inputs.h"
#include "core/image_testing.h"

namespace kiln {

/// Puts the calling thread into a directory of its own: other threads do not notice. Those it starts later share it.
void enter_thread_directory(const std::filesystem::path& directory);

/// Words of a stage: what it emits is said in its name, and kept in a log. Thread-safe.
class StageSink : public EventSink {
 public:
  /// `log` empty: none is kept. `redactor` masks what is kept.
  StageSink(EventSink& out, std::string stage, std::shared_ptr<Redactor> redactor, const std::filesystem::path& log);
  ~StageSink() override;
  void emit(const Event& event) override;
  std::string ask(const std::string& stage, const std::string& question, const Stop& stop) override;
  /// Builds of these names are called by the stage's name, the others "STAGE.BUILD".
  void set_only_build(const std::string& name) { only_build_ = name; }

 private:
  std::string renamed(const std::string& stage) const;
  EventSink& out_;
  std::string stage_;
  std::string only_build_;
  std::shared_ptr<Redactor> redactor_;
  int log_fd_ = -1;
};

/// A stage as far as it is known.
struct PreparedStage {
  StageSettings settings;
  std::shared_ptr<LoadedTemplate> loaded;  ///< keeps alive what the plan evaluates in
  Plan plan;
  size_t builds = 0;           ///< how many the template has that are selected
  bool known = true;           ///< no variable waits for another stage
  std::vector<Value> inputs;   ///< of the plan's stages; only when all is known
  std::vector<std::string> keys;
  std::vector<std::vector<PlannedState>> states;  ///< of the plan's stages, likewise
  std::string mistakes;        ///< all of them, ready to be shown; empty: none
};

/// Makes stages ready. Const and callable from any thread.
class StagePreparer {
 public:
  StagePreparer(const Invocation& invocation, const CommandOptions& options, const LoadedPipeline& loaded,
                FileDigests& digests);
  /// `timeless`: for its key, with time and chance standing still; else for running. `replace`: results that are in the
  /// way are no mistake. The calling thread is in the stage's directory from then on.
  PreparedStage prepare(size_t instance, bool timeless, bool replace) const;
  /// The tests of the stage, grouped by the machine they share, for one artifact of it. `builder` made it. Mistakes
  /// (unknown machine, missing programs) go to `diagnostics`. Without an artifact: only checks what can be.
  std::vector<ImageTestPlan> test_plans(size_t instance, const Stage& build, const Artifact* artifact,
                                        const StageArtifact* known, Diagnostics& diagnostics) const;
  /// Digest of an artifact with everything its tests are made from; empty when there are none.
  std::string tests_key(const std::vector<ImageTestPlan>& plans, const std::string& artifact_digest) const;
  /// The fresh boot of a test's machine as a state: when the image's tests change, its machine is up already. nullptr where
  /// starting is no slower.
  std::shared_ptr<const StatePlan> boot_of(const ImageTestPlan& plan, const std::string& artifact_digest,
                                           const std::shared_ptr<StateCache>& states) const;
  /// What the stage would do, with its tests and publishing as the last steps of each build. `prepared` without
  /// mistakes. `keys`: with the steps' keys; of a stage that waits for another one they would be those of the words that
  /// stand for what is not known. `states`: says what is cached there; none: it does not.
  std::vector<OutlinedBuild> outline(size_t instance, const PreparedStage& prepared, bool keys,
                                     const std::shared_ptr<StateCache>& states) const;
  std::filesystem::path directory_of(const StageSettings& settings) const;
  /// As an error text for a person, in the language of HCL.
  static std::string text_of(const Diagnostics& diagnostics);

 private:
  CommandOptions stage_options(const StageSettings& settings, bool timeless, bool replace, bool& known) const;
  void plan(size_t instance, const CommandOptions& options, PreparedStage& out) const;
  std::map<std::string, std::string> sources_of(size_t instance) const;

  const Invocation& invocation_;
  const CommandOptions& options_;
  const LoadedPipeline& loaded_;
  FileDigests& digests_;
  HideSecret hide_;
  std::shared_ptr<TemplateCache> templates_ = std::make_shared<TemplateCache>();
};

/// What of a throw-away machine's configuration a test's outcome depends on, besides the artifact: options that change
/// the result, and the content of files they name (user data, say).
Value machine_inputs(const Value& machine, const std::string& builder_type, FileDigests& digests);

/// The configuration of a throw-away machine as the store keeps it: templates rendered, secrets left out.
Value stored_machine(const Value& machine, const std::string& builder_type, const TemplateScope& scope);

}  // namespace kiln
