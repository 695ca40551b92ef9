// What a pipeline's run says: the forecast, the summary, the files that hand artifacts over.
#pragma once
#include <chrono>

#include "cli/pipeline_run.h"

namespace kiln {

/// Before a run: which stages run, in one line each; those up to date in one line together. Gives stages their colours.
void show_what_runs(Invocation& invocation, const Pipeline& pipeline, const PipelineRun& run);
/// `plan`: every stage with its reasons (and `steps`), or as JSON.
void show_forecast(Invocation& invocation, const Pipeline& pipeline, const PipelineRun& run, bool json, bool steps);
/// After a run: every stage with how it ended, its tests and its artifact; then the outputs.
void report_run(Invocation& invocation, const Pipeline& pipeline, const PipelineRun& run,
                std::chrono::nanoseconds duration, bool interrupted);
/// -artifact-env, -artifact-json, -junit, -tap. False: one could not be made, which was said.
bool write_hand_over(Invocation& invocation, const CommandOptions& options, const Pipeline& pipeline,
                     const PipelineRun& run, bool well);

}  // namespace kiln
