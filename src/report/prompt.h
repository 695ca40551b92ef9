// Questions to the person at the terminal.
#pragma once
#include <string>

#include "base/wait.h"

namespace kiln {

/// Writes the question to the controlling terminal and reads a line from it. Throws Error{environment}
/// "no available tty" where there is none (or we are in its background), Error{cancelled} on Stop.
std::string ask_on_terminal(const std::string& question, const Stop& stop);

}  // namespace kiln
