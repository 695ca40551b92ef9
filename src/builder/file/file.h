// The file builder: its artifact is one file (packer-surface 6.9). For tests of pipelines.
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Builder> file_builder();

}  // namespace kiln
