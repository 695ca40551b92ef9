// Builder qemu: machines of local QEMU (packer-surface 8.1).
#pragma once
#include "core/components.h"

namespace kiln {

/// The entry for the table of components. The builders it makes share one answer to "does KVM work here".
ComponentEntry<Builder> qemu_builder();

}  // namespace kiln
