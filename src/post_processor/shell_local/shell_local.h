// The shell-local post-processor: runs scripts on this machine after the build (packer-surface 6.2).
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<PostProcessor> shell_local_post_processor();

}  // namespace kiln
