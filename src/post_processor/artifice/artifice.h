// The artifice post-processor: other files become the artifact (packer-surface 6.10).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<PostProcessor> artifice_post_processor();

}  // namespace kiln
