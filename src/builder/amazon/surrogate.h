// The builder amazon-ebssurrogate: an AMI from volumes that were prepared beside a running instance
// (packer-surface 8.3).
#pragma once
#include "builder/amazon/shared.h"
#include "core/components.h"

namespace kiln {

ComponentEntry<Builder> amazon_ebssurrogate_builder(const std::shared_ptr<AmazonShared>& shared);

}  // namespace kiln
