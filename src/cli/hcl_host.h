// What HCL's functions may reach of this machine.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/redact.h"
#include "lang/hcl_function.h"

namespace kiln {

/// `base_directory`: where the template lies; relative paths of file() and the like start there.
HclHost make_hcl_host(const std::string& base_directory);

/// The secrets that templates' functions fetch; each is masked from then on. Throws Error for a store that Kiln does not
/// know. The redactor outlives it.
std::function<std::string(const std::string& function, const std::vector<std::string>& arguments)> secret_reader(
    Redactor& redactor);

/// The same time and the same random bytes whenever it is asked.
void stop_time(HclHost& host);

}  // namespace kiln
