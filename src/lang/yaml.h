// YAML text into values with places.
#pragma once
#include <memory>

#include "lang/value.h"

namespace kiln {

/// The first document of the text, with the place of every value and key. Plain scalars are what YAML 1.2's core
/// schema and Go's yaml.v3 take them for: `yes` and `on` are strings, `0644` is an octal number; anchors, aliases and
/// merge keys are followed, within bounds. An empty text is null. What is wrong becomes a diagnostic, and the result
/// is then null.
Value parse_yaml(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics);

}  // namespace kiln
