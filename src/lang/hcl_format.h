// `fmt`: white space of HCL native syntax, as Packer writes it (packer-surface 5.14).
#pragma once
#include <string>
#include <string_view>

namespace kiln {

/// The same tokens with canonical white space: indentation by open brackets, aligned "=" and trailing comments, one
/// space around operators. Templates, heredocs, comments and blank lines stay. For syntactically valid input.
std::string format_hcl(std::string_view text);

}  // namespace kiln
