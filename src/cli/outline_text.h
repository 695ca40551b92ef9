// What a build would do, as lines to read.
#pragma once
#include <string>

#include "core/plan_outline.h"

namespace kiln {

/// The build's name, its steps with number, kind and the beginning of their key, below each its options; then what is
/// left out. `indent` stands before every line.
std::string outline_text(const OutlinedBuild& build, const std::string& indent = "");

}  // namespace kiln
