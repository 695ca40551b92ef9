// The one table of what is pluggable.
#pragma once
#include "core/components.h"

namespace kiln {

/// Builders, provisioners, post-processors, data sources and testers of this program.
const Components& component_table();

}  // namespace kiln
