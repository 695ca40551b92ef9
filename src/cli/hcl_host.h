// What HCL's functions may reach of this machine.
#pragma once
#include <string>

#include "lang/hcl_function.h"

namespace kiln {

/// `base_directory`: where the template lies; relative paths of file() and the like start there.
HclHost make_hcl_host(const std::string& base_directory);

/// The same time and the same random bytes whenever it is asked.
void stop_time(HclHost& host);

}  // namespace kiln
