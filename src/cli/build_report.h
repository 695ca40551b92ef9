// The end of a build run, in Packer's lines and records.
#pragma once
#include <chrono>
#include <vector>

#include "core/engine.h"

namespace kiln {

/// Says how the run ended: errors, then artifacts; or that it was interrupted. Returns whether all went well.
bool report_results(const std::vector<StageResult>& results, std::chrono::nanoseconds duration,
                    bool interrupted, const Ui& ui);

}  // namespace kiln
