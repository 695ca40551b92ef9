#include "cli/command.h"
namespace kiln {
int run_hcl2_upgrade(Invocation&, CommandOptions&, const std::vector<std::string>&) { return 1; }
}  // namespace kiln
