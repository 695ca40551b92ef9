// The serverspec tester: real rspec, on this host by ssh or in the machine.
#pragma once
#include "core/components.h"

namespace kiln {

ComponentEntry<Tester> serverspec_tester();

}  // namespace kiln
