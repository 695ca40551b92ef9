// Publishing: post-processors run on an artifact that has passed its tests.
#pragma once
#include <string>
#include <vector>

#include "core/engine.h"
#include "lang/pipeline.h"

namespace kiln {

/// What was published of which content: the same again need not be published.
std::string publish_key(const std::vector<StagePublish>& publishes, const StageArtifact& artifact);

/// Each on the artifact itself, which stays. Runs on the calling thread.
StageResult run_publishes(const std::vector<StagePublish>& publishes, const Artifact& artifact, const BuildInfo& info,
                          const RunOptions& options, EventSink& sink, Journal& journal, const Log& log,
                          const Stop& stop);

/// Builder::hand_on() as a build of its own, whose artifact is what came of it. Runs on the calling thread.
StageResult run_handing_on(Builder& builder, const Artifact& artifact, const BuildInfo& info,
                           const RunOptions& options, EventSink& sink, Journal& journal, const Log& log,
                           const Stop& stop);

}  // namespace kiln
