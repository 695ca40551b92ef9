// Takes one source through its build: machine, provisioners, artifact, clean-up, post-processors.
#pragma once
#include "core/engine.h"
#include "core/evidence.h"

namespace kiln {

/// What all stages of a run share. Outlives them.
struct RunShared {
  const RunOptions& options;
  EventSink& sink;
  Journal& journal;
  const Log& log;
  const Redactor& redactor;
  EvidenceRoom& evidence;
};

/// Runs the stage to its end, clean-up included, on the calling thread. Never throws: what failed is in the result.
StageResult run_stage(Stage& stage, const RunShared& shared, const Stop& stop);

}  // namespace kiln
