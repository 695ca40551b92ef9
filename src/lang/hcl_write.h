// HCL native syntax from values: quoting, numbers, attributes. Layout is left to hcl_format.h.
#pragma once
#include <string>
#include <string_view>

#include "lang/value.h"

namespace kiln {

/// The text as a quoted template that evaluates to it: "${" and "%{" are doubled, what cannot be shown is escaped.
std::string hcl_quoted(std::string_view text);
/// Whether the word can be a key or a name without quotes.
bool is_hcl_identifier(std::string_view word);
/// The value as an expression; members of objects in the order of their keys. Numbers are written as Packer's float64.
std::string hcl_expression(const Value& value);
/// "key = expression\n".
std::string hcl_attribute(std::string_view key, const Value& value);

}  // namespace kiln
