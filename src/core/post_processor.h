// The contract of post-processors.
#pragma once
#include <optional>

#include "core/artifact.h"
#include "core/stage_context.h"

namespace kiln {

/// What became of the input (packer-surface 3.7).
struct PostProcessed {
  std::optional<Artifact> artifact;  ///< nullopt: the sequence ends here
  bool keep_input = false;           ///< default unless keep_input_artifact is set
  bool force_keep = false;           ///< a user's `false` is ignored
};

class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  virtual void prepare(const PrepareInput& input) = 0;
  virtual PostProcessed run(const Artifact& input, StageContext& context) = 0;
};

}  // namespace kiln
