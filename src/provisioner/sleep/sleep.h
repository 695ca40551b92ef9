// The sleep provisioner (packer-surface 6.7).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Provisioner> sleep_provisioner();

}  // namespace kiln
