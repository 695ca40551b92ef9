// The builder amazon-chroot: an AMI from a volume that is attached to the instance Kiln runs on (packer-surface 8.3).
#pragma once
#include "builder/amazon/shared.h"
#include "core/components.h"

namespace kiln {

ComponentEntry<Builder> amazon_chroot_builder(const std::shared_ptr<AmazonShared>& shared);

}  // namespace kiln
