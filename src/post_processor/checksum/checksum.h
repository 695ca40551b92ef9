// The checksum post-processor (packer-surface 6.10).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<PostProcessor> checksum_post_processor();

}  // namespace kiln
