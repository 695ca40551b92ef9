// The windows-restart provisioner: restarts a Windows machine and waits until it is back
// (packer-surface 6.6).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Provisioner> windows_restart_provisioner();

}  // namespace kiln
