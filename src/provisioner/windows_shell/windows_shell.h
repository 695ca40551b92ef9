// The windows-shell provisioner: runs batch scripts on a Windows machine by cmd (packer-surface 6.5).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Provisioner> windows_shell_provisioner();

}  // namespace kiln
