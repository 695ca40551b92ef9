#include "core/post_process.h"

#include <fmt/format.h>

#include "base/error.h"

namespace kiln {

namespace {

/// One run of run_post_processors(): what was collected so far.
struct Collected {
  StageContext& context;
  std::vector<Artifact> artifacts;
  std::vector<std::string> errors;
  bool keep_built = false;

  void destroy(const Artifact& artifact, const char* whose) {
    try {
      only_errors(artifact.destroy);
    } catch (const Error& error) {
      errors.push_back(fmt::format("Error destroying {} artifact: {}", whose, error.message()));
    }
  }
};

/// As Packer has it: without a name (HCL2) there is a gap.
std::string start_line(const PostProcessorDeclaration& declaration) {
  if (declaration.name == declaration.type) return "Running post-processor: " + declaration.type;
  return fmt::format("Running post-processor: {} (type {})", declaration.name, declaration.type);
}

bool keeps_input(const PostProcessed& result, const PostProcessorDeclaration& declaration) {
  if (!declaration.keep_input_artifact) return result.keep_input;
  if (!*declaration.keep_input_artifact && result.keep_input && result.force_keep) return true;
  return *declaration.keep_input_artifact;
}

PostProcessed run_one(PlannedPostProcessor& planned, const Artifact& input, StageContext& context,
                      const std::function<void(PlannedPostProcessor&)>& prepare) {
  context.stop.check();
  context.ui.say(start_line(planned.declaration));
  prepare(planned);
  StageContext own = context;
  own.ui = context.ui.with_label("(" + planned.declaration.type + ")");
  PostProcessed result;
  context.step(planned.declaration.type, [&] { result = planned.component->run(input, own); });
  return result;
}

void run_sequence(const Artifact& built, std::vector<PlannedPostProcessor>& sequence, Collected& collected,
                  const std::function<void(PlannedPostProcessor&)>& prepare) {
  Artifact prior = built;
  for (size_t i = 0; i < sequence.size(); ++i) {
    PostProcessed result;
    try {
      result = run_one(sequence[i], prior, collected.context, prepare);
    } catch (const Error& error) {
      if (collected.context.stop.requested()) throw;
      collected.errors.push_back("Post-processor failed: " + error.message());
      return;
    }
    if (!result.artifact) return;
    bool keep = keeps_input(result, sequence[i].declaration);
    if (i == 0) {
      collected.keep_built |= keep;
    } else if (keep) {
      collected.artifacts.push_back(std::move(prior));
    } else {
      collected.destroy(prior, "post-processor");
    }
    prior = std::move(*result.artifact);
  }
  collected.artifacts.push_back(std::move(prior));
}

std::string joined_errors(const std::vector<std::string>& errors) {
  if (errors.empty()) return {};
  std::string text = fmt::format("{} error(s) occurred:\n", errors.size());
  for (const auto& error : errors) text += "\n* " + error;
  return text;
}

}  // namespace

PostProcessResult run_post_processors(const Artifact& built, std::vector<std::vector<PlannedPostProcessor>>& sequences,
                                      StageContext& context,
                                      const std::function<void(PlannedPostProcessor&)>& prepare) {
  Collected collected{context, {}, {}};
  collected.keep_built = true;
  for (const auto& sequence : sequences) {
    if (!sequence.empty()) collected.keep_built = false;
  }
  try {
    for (auto& sequence : sequences) {
      if (!sequence.empty()) run_sequence(built, sequence, collected, prepare);
    }
  } catch (const Error&) {
    if (!collected.keep_built) collected.destroy(built, "builder");
    throw;
  }
  PostProcessResult result;
  if (collected.keep_built) {
    collected.artifacts.insert(collected.artifacts.begin(), built);
  } else {
    collected.destroy(built, "builder");
  }
  result.error = joined_errors(collected.errors);
  if (result.error.empty()) result.artifacts = std::move(collected.artifacts);
  return result;
}

}  // namespace kiln
