// The builder amazon-ebsvolume: volumes that a provisioned instance has filled (packer-surface 8.3).
#pragma once
#include "builder/amazon/shared.h"
#include "core/components.h"

namespace kiln {

ComponentEntry<Builder> amazon_ebsvolume_builder(const std::shared_ptr<AmazonShared>& shared);

}  // namespace kiln
