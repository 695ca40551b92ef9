// Runs a build's post-processor sequences and decides which artifacts stay (packer-surface 3.7).
#pragma once
#include <string>
#include <vector>

#include "core/plan.h"

namespace kiln {

struct PostProcessResult {
  std::vector<Artifact> artifacts;  ///< empty when there are errors, as Packer shows none then
  std::string error;                ///< empty: all went well
};

/// `prepare` readies one post-processor with what is known of the machine now, just before it runs. Throws
/// Error{cancelled} only.
PostProcessResult run_post_processors(const Artifact& built, std::vector<std::vector<PlannedPostProcessor>>& sequences,
                                      StageContext& context,
                                      const std::function<void(PlannedPostProcessor&)>& prepare);

}  // namespace kiln
