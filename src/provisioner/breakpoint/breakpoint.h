// The breakpoint provisioner: waits for Enter (packer-surface 6.7).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Provisioner> breakpoint_provisioner();

}  // namespace kiln
