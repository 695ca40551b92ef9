// The manifest post-processor: a list of what was built, in JSON (packer-surface 6.10).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<PostProcessor> manifest_post_processor();

}  // namespace kiln
