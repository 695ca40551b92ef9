// The goss tester: gossfiles, answered by the machine without goss in it.
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Tester> goss_tester();

}  // namespace kiln
