// The seal provisioner: makes a Linux machine fit to be an image, and looks whether it is (ours, not Packer's).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Provisioner> seal_provisioner();

}  // namespace kiln
