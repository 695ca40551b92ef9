// The compress post-processor (packer-surface 6.10).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<PostProcessor> compress_post_processor();

}  // namespace kiln
