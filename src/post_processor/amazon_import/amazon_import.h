// The post-processor amazon-import: a disk image becomes an AMI (packer-surface part 9).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<PostProcessor> amazon_import_post_processor();

}  // namespace kiln
