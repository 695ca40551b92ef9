// format formatlist. Source: go-cty's documentation of format, Go's of how big.Int and big.Float are printed.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

constexpr int64_t max_format_size = 1000000;  // Go's own limit on widths and precisions

struct FormatVerb {
  std::string_view raw;
  size_t offset = 0;
  size_t argument = 0;  ///< 1-based
  char mode = 0;
  bool zero = false, sharp = false, plus = false, minus = false, space = false;
  std::optional<int64_t> width;
  std::optional<int64_t> precision;
};

std::string quote_go_rune(uint32_t rune) {
  std::string text;
  append_rune(text, rune);
  if (text == "'") return "'\\''";
  if (text == "\"") return "'\"'";
  std::string quoted = go_quote(text);
  return "'" + quoted.substr(1, quoted.size() - 2) + "'";
}

[[noreturn]] void fail_verb(const FormatVerb& verb, std::string_view why) {
  fail(fmt::format("unsupported value for {} at {}: {}", go_quote(verb.raw), verb.offset, why));
}

std::string padded_clusters(const FormatVerb& verb, std::string text) {
  if (!verb.width) return text;
  auto width = static_cast<size_t>(*verb.width);
  size_t length = count_clusters(text);
  if (length >= width) return text;
  std::string padding(width - length, verb.zero ? '0' : ' ');
  return verb.minus ? text + padding : padding + text;
}

/// A number's significant digits and where its point is: 0.d1d2d3... * 10^point.
struct Decimal {
  bool negative = false;
  std::string digits;
  int64_t point = 0;
};

Decimal decimal_of(std::string_view text) {
  Decimal out;
  if (text.starts_with('-')) {
    out.negative = true;
    text.remove_prefix(1);
  }
  size_t dot = std::min(text.find('.'), text.size());
  out.digits = std::string(text.substr(0, dot)) + std::string(dot < text.size() ? text.substr(dot + 1) : "");
  out.point = static_cast<int64_t>(dot);
  size_t zeros = std::min(out.digits.find_first_not_of('0'), out.digits.size());
  out.digits.erase(0, zeros);
  out.point -= static_cast<int64_t>(zeros);
  while (out.digits.ends_with('0')) out.digits.pop_back();
  if (out.digits.empty()) out.point = 0;
  return out;
}

/// Keeps `count` digits, rounding half to even.
void round_decimal(Decimal& number, size_t count) {
  if (number.digits.size() <= count) return;
  std::string rest = number.digits.substr(count);
  number.digits.resize(count);
  bool half = rest[0] == '5' && rest.find_first_not_of('0', 1) == std::string::npos;
  bool odd = count > 0 && (number.digits.back() - '0') % 2 != 0;
  bool up = half ? odd : rest[0] >= '5';
  size_t at = count;
  while (up && at > 0) {
    --at;
    up = number.digits[at] == '9';
    number.digits[at] = up ? '0' : static_cast<char>(number.digits[at] + 1);
  }
  if (up) {
    number.digits.insert(0, 1, '1');
    ++number.point;
  }
  while (number.digits.ends_with('0')) number.digits.pop_back();
  if (number.digits.empty()) number.point = 0;
}

/// The number rounded to that many significant digits.
Decimal significant(const HclNumber& number, int64_t count) {
  int64_t decimals = count - decimal_of(number.text()).point;
  // Below the point fixed() rounds at the right digit; above it all digits are needed, and no more than 512
  // of them follow the point in a number of 512 bits.
  Decimal out = decimal_of(number.fixed(static_cast<int>(decimals >= 0         ? decimals
                                                         : number.is_integer() ? 0
                                                                               : 512)));
  round_decimal(out, static_cast<size_t>(count));
  return out;
}

std::string exponent_form(const Decimal& number, int64_t precision, char letter) {
  std::string out(1, number.digits.empty() ? '0' : number.digits[0]);
  if (precision > 0) {
    std::string rest = number.digits.size() > 1 ? number.digits.substr(1) : "";
    rest.resize(static_cast<size_t>(precision), '0');
    out += "." + rest;
  }
  int64_t exponent = number.digits.empty() ? 0 : number.point - 1;
  return out + fmt::format("{}{}{:02}", letter, exponent < 0 ? '-' : '+', std::abs(exponent));
}

std::string plain_form(const Decimal& number) {
  auto size = static_cast<int64_t>(number.digits.size());
  if (number.point <= 0) {
    if (number.digits.empty()) return "0";
    return "0." + std::string(static_cast<size_t>(-number.point), '0') + number.digits;
  }
  auto point = static_cast<size_t>(number.point);
  if (size <= number.point) return number.digits + std::string(point - number.digits.size(), '0');
  return number.digits.substr(0, point) + "." + number.digits.substr(point);
}

/// Go's Text('g'): no precision is the shortest text that reads back the same.
std::string general_form(const HclNumber& number, std::optional<int64_t> precision, char letter) {
  int64_t limit = precision ? std::max<int64_t>(*precision, 1) : 6;
  Decimal decimal = precision ? significant(number, limit) : decimal_of(number.text());
  if (precision) {
    auto size = static_cast<int64_t>(decimal.digits.size());
    if (limit > size && size >= decimal.point) limit = size;
  }
  int64_t exponent = decimal.digits.empty() ? 0 : decimal.point - 1;
  std::string out;
  if (!decimal.digits.empty() && (exponent < -4 || exponent >= limit)) {
    out = exponent_form(decimal, static_cast<int64_t>(decimal.digits.size()) - 1, letter);
  } else {
    out = plain_form(decimal);
  }
  return decimal.negative ? "-" + out : out;
}

std::string float_text(const FormatVerb& verb, const HclNumber& number) {
  if (number.is_infinite()) return number.sign() < 0 ? "-Inf" : "+Inf";
  switch (verb.mode) {
    case 'f':
      return number.fixed(static_cast<int>(verb.precision.value_or(6)));
    case 'g':
      return general_form(number, verb.precision, 'e');
    case 'G':
      return general_form(number, verb.precision, 'E');
    default: {
      int64_t precision = verb.precision.value_or(6);
      Decimal decimal = significant(number, precision + 1);
      return (decimal.negative ? "-" : "") + exponent_form(decimal, precision, verb.mode);
    }
  }
}

std::string format_float(const FormatVerb& verb, const HclNumber& number) {
  std::string digits = float_text(verb, number);
  std::string sign;
  if (digits[0] == '-' || digits[0] == '+') {
    sign = digits[0] == '+' && verb.space ? " " : digits.substr(0, 1);
    digits.erase(0, 1);
  } else if (verb.plus || verb.space) {
    sign = verb.plus ? "+" : " ";
  }
  auto width = static_cast<size_t>(verb.width.value_or(0));
  size_t padding = width > sign.size() + digits.size() ? width - sign.size() - digits.size() : 0;
  if (verb.zero && !number.is_infinite()) return sign + std::string(padding, '0') + digits;
  if (verb.minus) return sign + digits + std::string(padding, ' ');
  return std::string(padding, ' ') + sign + digits;
}

/// Digits of a whole number in base 2, 8 or 16, from its decimal text.
std::string digits_in_base(std::string decimal, int base) {
  if (decimal.size() > 4096) fail("the number has too many digits to be written in another base");
  std::string out;
  while (!decimal.empty()) {
    int rest = 0;
    std::string quotient;
    for (char c : decimal) {
      int part = rest * 10 + (c - '0');
      if (!quotient.empty() || part >= base) quotient += static_cast<char>('0' + part / base);
      rest = part % base;
    }
    out += "0123456789abcdef"[rest];
    decimal = quotient;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::string format_integer(const FormatVerb& verb, const HclNumber& number) {
  std::string digits = number.text();
  std::string sign = number.sign() < 0 ? "-" : verb.plus ? "+" : verb.space ? " " : "";
  if (number.sign() < 0) digits.erase(0, 1);
  std::string prefix;
  switch (verb.mode) {
    case 'b':
      digits = digits_in_base(digits, 2);
      prefix = "0b";
      break;
    case 'o':
      digits = digits_in_base(digits, 8);
      prefix = "0";
      break;
    case 'x':
      digits = digits_in_base(digits, 16);
      prefix = "0x";
      break;
    case 'X':
      digits = upper(digits_in_base(digits, 16));
      prefix = "0X";
      break;
    default:
      break;
  }
  if (!verb.sharp) prefix.clear();
  if (verb.precision) {
    if (digits == "0" && *verb.precision == 0) return "";
    auto precision = static_cast<size_t>(*verb.precision);
    if (digits.size() < precision) digits.insert(0, precision - digits.size(), '0');
  }
  size_t length = sign.size() + prefix.size() + digits.size();
  auto width = static_cast<size_t>(verb.width.value_or(0));
  if (length >= width) return sign + prefix + digits;
  if (verb.minus) return sign + prefix + digits + std::string(width - length, ' ');
  if (verb.zero && !verb.precision) return sign + prefix + std::string(width - length, '0') + digits;
  return std::string(width - length, ' ') + sign + prefix + digits;
}

HclValue converted_argument(const FormatVerb& verb, const HclValue& value, const HclType& type) {
  std::string error;
  auto converted = hcl_convert(value, type, &error);
  if (!converted) fail_verb(verb, error);
  return *converted;
}

std::string format_text(const FormatVerb& verb, const HclValue& value) {
  std::string text = converted_argument(verb, value, HclType::string()).as_string();
  if (verb.precision.value_or(0) > 0) {
    std::string_view rest = text;
    for (int64_t i = 0; i < *verb.precision && !rest.empty(); ++i) rest.remove_prefix(first_cluster(rest));
    text.resize(text.size() - rest.size());
  }
  return padded_clusters(verb, verb.mode == 's' ? text : json_quote(text));
}

std::string format_as_is(const FormatVerb& verb, const HclValue& value) {
  if (!verb.sharp && !value.is_null()) {
    if (value.type().is(HclType::Kind::string)) return padded_clusters(verb, value.as_string());
    if (value.type().is(HclType::Kind::number)) {
      const HclNumber& number = value.as_number();
      if (number.is_infinite()) return padded_clusters(verb, number.sign() < 0 ? "-Inf" : "+Inf");
      return padded_clusters(verb, general_form(number, {}, 'e'));
    }
  }
  try {
    return padded_clusters(verb, json_text(value));
  } catch (const HclFunctionError& e) {
    fail_verb(verb, e.message);
  }
}

std::string format_argument(const FormatVerb& verb, const Arguments& arguments) {
  if (verb.argument > arguments.size()) {
    fail(fmt::format("not enough arguments for {} at {}: need index {} but have {} total", go_quote(verb.raw),
                     verb.offset, verb.argument, arguments.size()));
  }
  if (verb.argument == 0) fail_verb(verb, "arguments are counted from 1");
  const HclValue& value = arguments[verb.argument - 1];
  if (verb.mode != 'v' && value.is_null()) fail_verb(verb, "null value cannot be formatted");
  switch (verb.mode) {
    case 'v':
      return format_as_is(verb, value);
    case 't':
      return converted_argument(verb, value, HclType::boolean()).as_boolean() ? "true" : "false";
    case 'b':
    case 'd':
    case 'o':
    case 'x':
    case 'X': {
      HclValue number = converted_argument(verb, value, HclType::number());
      if (number.as_number().is_infinite() || !number.as_number().is_integer())
        fail_verb(verb, "an integer is required");
      return format_integer(verb, number.as_number());
    }
    case 'e':
    case 'E':
    case 'f':
    case 'g':
    case 'G':
      return format_float(verb, converted_argument(verb, value, HclType::number()).as_number());
    case 's':
    case 'q':
      return format_text(verb, value);
    default:
      fail(fmt::format("unsupported format verb {} in {} at offset {}",
                       quote_go_rune(static_cast<unsigned char>(verb.mode)), go_quote(verb.raw),
                       verb.offset));
  }
}

/// Reads a format string from one verb to the next.
class FormatReader {
 public:
  FormatReader(std::string_view format, const Arguments& arguments)
      : format_(format), arguments_(arguments) {}

  std::string run() {
    while (at_ < format_.size()) {
      size_t percent = std::min(format_.find('%', at_), format_.size());
      put(format_.substr(at_, percent - at_));
      at_ = percent;
      if (at_ < format_.size()) verb();
    }
    if (highest_ < arguments_.size()) {
      int extra = static_cast<int>(highest_) + 1;
      if (highest_ == 0) fail("too many arguments; no verbs in format string", extra);
      fail(fmt::format("too many arguments; only {} used by format string", highest_), extra);
    }
    return std::move(out_);
  }

 private:
  void put(std::string_view text) {
    check_text(out_.size() + text.size());
    out_ += text;
  }
  char peek() {
    if (at_ >= format_.size())
      fail(fmt::format("invalid format string starting at offset {}", format_.size()));
    return format_[at_];
  }
  bool is_digit() { return peek() >= '0' && peek() <= '9'; }
  [[noreturn]] void unrecognized() {
    std::string_view rest = format_.substr(at_);
    fail(fmt::format("unrecognized format character {} at offset {}", quote_go_rune(take_rune(rest)), at_));
  }
  int64_t digits(const char* what) {
    int64_t value = 0;
    for (; is_digit(); ++at_) {
      value = value * 10 + (format_[at_] - '0');
      if (value > max_format_size)
        fail(fmt::format("the {} of a verb must be at most {}", what, max_format_size));
    }
    return value;
  }

  void flags(FormatVerb& verb) {
    for (;; ++at_) {
      switch (peek()) {
        case '0':
          verb.zero = true;
          break;
        case '#':
          verb.sharp = true;
          break;
        case '-':
          verb.minus = true;
          break;
        case '+':
          verb.plus = true;
          break;
        case ' ':
          verb.space = true;
          break;
        default:
          return;
      }
    }
  }

  void verb() {
    FormatVerb verb;
    verb.offset = at_++;
    verb.argument = next_;
    if (peek() == '%') {
      ++at_;
      return put("%");
    }
    flags(verb);
    if (is_digit()) verb.width = digits("width");
    if (peek() == '.') {
      ++at_;
      verb.precision = digits("precision");
    }
    if (peek() == '[') {
      ++at_;
      if (!is_digit() || peek() == '0') unrecognized();
      verb.argument = static_cast<size_t>(digits("argument number"));
      if (peek() != ']') unrecognized();
      ++at_;
    }
    char mode = peek();
    if (!((mode >= 'a' && mode <= 'z') || (mode >= 'A' && mode <= 'Z'))) unrecognized();
    ++at_;
    verb.mode = mode;
    verb.raw = format_.substr(verb.offset, at_ - verb.offset);
    highest_ = std::max(highest_, verb.argument);
    put(format_argument(verb, arguments_));
    next_ = verb.argument + 1;
  }

  std::string_view format_;
  const Arguments& arguments_;
  std::string out_;
  size_t at_ = 0;
  size_t next_ = 1;
  size_t highest_ = 0;
};

bool all_known(const Arguments& values) {
  return std::all_of(values.begin(), values.end(),
                     [](const HclValue& value) { return value.is_wholly_known(); });
}

HclValue format_one(const Arguments& arguments, const HclType& result, const HclHost&) {
  Arguments values(arguments.begin() + 1, arguments.end());
  if (!all_known(values)) return HclValue::unknown(result);
  return HclValue::string(format_verbs(arguments[0].as_string(), values));
}

/// How many texts formatlist makes: as many as its lists are long; nullopt where that is not known yet.
std::optional<size_t> format_list_length(const Arguments& values) {
  std::optional<size_t> length;
  size_t chooser = 0;
  bool unknown = false;
  for (size_t i = 0; i < values.size(); ++i) {
    const HclValue& value = values[i];
    if (!value.is_known()) unknown = unknown || value.type().is_dynamic() || value.type().is_sequence();
    if (!value.type().is_sequence() || value.is_null()) continue;
    if (!value.is_known() && !value.type().is(HclType::Kind::tuple)) continue;
    size_t size = value.is_known() ? value.length() : value.type().elements().size();
    if (length && *length != size) {
      fail(fmt::format("argument {} has length {}, which is inconsistent with argument {} of length {}",
                       i + 1, size, chooser + 1, *length),
           static_cast<int>(i) + 1);
    }
    if (!length) chooser = i;
    length = size;
  }
  if (unknown) return {};
  return length.value_or(1);
}

HclValue format_each(const Arguments& arguments, const HclType& result, const HclHost&) {
  const std::string& format = arguments[0].as_string();
  Arguments values(arguments.begin() + 1, arguments.end());
  if (values.empty()) return HclValue::list(HclType::string(), {HclValue::string(format_verbs(format, {}))});
  auto length = format_list_length(values);
  if (!length) return HclValue::unknown(result);
  HclValue::Items out;
  size_t size = 0;
  for (size_t i = 0; i < *length; ++i) {
    Arguments row;
    for (const auto& value : values) {
      row.push_back(value.type().is_sequence() && !value.is_null() ? value.items()[i] : value);
    }
    if (!all_known(row)) {
      out.push_back(HclValue::unknown(HclType::string()));
      continue;
    }
    try {
      std::string text = format_verbs(format, row);
      check_text(size += text.size());
      out.push_back(HclValue::string(std::move(text)));
    } catch (const HclFunctionError& e) {
      fail(fmt::format("error on format iteration {}: {}", i, e.message));
    }
  }
  return HclValue::list(HclType::string(), std::move(out));
}

}  // namespace

std::string format_verbs(std::string_view format, const Arguments& arguments) {
  return FormatReader(format, arguments).run();
}

void add_format(HclFunctionTable& table) {
  table["format"] = function("Puts values into a text by printf's verbs.", {text("format")},
                             any("args", takes_null | takes_unknown), always(HclType::string()), format_one);
  table["formatlist"] = function(
      "Makes a list of texts by printf's verbs, one for each element of the given lists.", {text("format")},
      any("args", takes_null | takes_unknown), always(list_of_text_type()), format_each);
}

}  // namespace kiln::hcl_fn
