// The shell provisioner: runs scripts on the machine (packer-surface 6.1).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Provisioner> shell_provisioner();

}  // namespace kiln
