// The uploaded tester: what the template sent into the machine is there, byte by byte.
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Tester> uploaded_tester();

}  // namespace kiln
