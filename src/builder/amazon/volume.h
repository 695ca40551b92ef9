// The builder amazon-ebsvolume: volumes that a provisioned instance has filled (packer-surface 8.3).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Builder> amazon_ebsvolume_builder();

}  // namespace kiln
