// From argv to an exit code.
#pragma once
#include <string>
#include <vector>

namespace kiln {

/// Runs the program; never throws. Exit codes: 0 well, 1 any error, 127 no such command (packer-surface 1.2).
int run_program(std::vector<std::string> words);

}  // namespace kiln
