// The shell tester: scripts whose exit status, or TAP, is the verdict.
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Tester> shell_tester();

}  // namespace kiln
