// The one table of what is pluggable.
#pragma once
#include "core/components.h"

namespace kiln {

/// Builders, provisioners, post-processors and data sources of this program.
const Components& component_table();

}  // namespace kiln
