// The drift tester: a command that must find nothing to change, as configuration management's dry runs do.
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Tester> drift_tester();

}  // namespace kiln
