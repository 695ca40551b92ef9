// The shell-local provisioner: runs scripts on this machine (packer-surface 6.2).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Provisioner> shell_local_provisioner();

}  // namespace kiln
