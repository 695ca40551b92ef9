// Go's literals: quoted strings, characters, numbers. Source of the rules: the Go specification.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "lang/value.h"

namespace kiln {

/// The text of a literal in "double quotes", `back quotes` or 'single quotes' (one character); nullopt if it is none.
std::optional<std::string> go_unquote(std::string_view literal);
/// A number literal or character constant as a decimal Number; floating ones always hold "." or "e". nullopt when it
/// is none (imaginary numbers are not taken) or does not fit into 64 bits.
std::optional<Value> parse_go_number(std::string_view literal);
/// Adds the UTF-8 form of a code point; one that is none becomes U+FFFD.
void append_rune(std::string& out, uint32_t rune);
/// Takes the first code point off the text; an ill-formed byte gives U+FFFD and takes one byte.
uint32_t take_rune(std::string_view& text);
/// A floating number as a Number that says so: "1.0", "2.5", "1e+30".
Value float_value(double number);
/// The shortest decimal that reads back as the same double, without an exponent: "1.5", "1000000", "0.0000001".
std::string plain_decimal(double number);
/// Does the Number hold a floating value?
bool is_float(const Number& number);

}  // namespace kiln
