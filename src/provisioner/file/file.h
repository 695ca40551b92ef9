// The file provisioner: sends files to the machine and fetches them (packer-surface 6.3).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Provisioner> file_provisioner();

}  // namespace kiln
