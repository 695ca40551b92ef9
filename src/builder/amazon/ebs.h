// The builder amazon-ebs: an AMI from an instance that was provisioned (packer-surface 8.3).
#pragma once
#include "builder/amazon/shared.h"
#include "core/components.h"

namespace kiln {

ComponentEntry<Builder> amazon_ebs_builder(const std::shared_ptr<AmazonShared>& shared);

}  // namespace kiln
