// Text in columns.
#pragma once
#include <string>
#include <vector>

namespace kiln {

/// A line a row, cells as wide as the widest of their column and two blanks apart, none behind the last; `indent`
/// stands before each line.
std::string text_table(const std::vector<std::vector<std::string>>& rows, const std::string& indent = "");

/// "1 state", "3 states".
std::string counted(size_t n, const char* what);

}  // namespace kiln
