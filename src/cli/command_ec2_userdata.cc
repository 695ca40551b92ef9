// ec2 userdata: a throw-away instance runs a user-data script.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"

namespace kiln {

int run_ec2_userdata(Invocation&, CommandOptions&, const std::vector<std::string>&) { return show_help; }

}  // namespace kiln
