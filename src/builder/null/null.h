// The null builder: connects to a machine that is there already, and makes nothing (packer-surface 6.9).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Builder> null_builder();

}  // namespace kiln
