// The powershell provisioner: runs PowerShell scripts on a Windows machine (packer-surface 6.4).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Provisioner> powershell_provisioner();

}  // namespace kiln
