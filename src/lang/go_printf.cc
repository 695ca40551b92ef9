#include "lang/go_printf.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>

#include "base/text.h"
#include "lang/go_literal.h"

namespace kiln::go_template {
namespace {

struct Directive {
  bool plus = false, minus = false, sharp = false, space = false, zero = false;
  std::optional<int> width;
  std::optional<int> precision;
  char verb = 0;
};

size_t rune_count(std::string_view text) {
  size_t count = 0;
  for (; !text.empty(); ++count) take_rune(text);
  return count;
}

std::string cut(std::string_view text, int runes) {
  std::string_view rest = text;
  for (int i = 0; i < runes && !rest.empty(); ++i) take_rune(rest);
  return std::string(text.substr(0, text.size() - rest.size()));
}

std::string padded(std::string text, const Directive& d) {
  if (!d.width) return text;
  size_t length = rune_count(text);
  if (length >= static_cast<size_t>(*d.width)) return text;
  std::string padding(static_cast<size_t>(*d.width) - length, d.zero && !d.minus ? '0' : ' ');
  return d.minus ? text + padding : padding + text;
}

/// A number's digits with its sign; zero padding goes between the two.
std::string padded_number(bool negative, const std::string& prefix, std::string digits, const Directive& d) {
  std::string sign = negative ? "-" : d.plus ? "+" : d.space ? " " : "";
  size_t length = sign.size() + prefix.size() + digits.size();
  if (d.zero && !d.minus && d.width && length < static_cast<size_t>(*d.width)) {
    digits.insert(0, static_cast<size_t>(*d.width) - length, '0');
  }
  Directive blank = d;
  blank.zero = false;
  return padded(sign + prefix + digits, blank);
}

std::string format_argument(const Ref& argument, const Directive& d);

std::string bad_verb(const Ref& argument, const Directive& d) {
  bool none = !argument || argument->is_null();
  if (none) return fmt::format("%!{}(<nil>)", d.verb);
  Directive plain = d;
  plain.verb = 'v';
  return fmt::format("%!{}({}={})", d.verb, type_name(argument), format_argument(argument, plain));
}

std::string format_integer(const Ref& argument, const Directive& d) {
  int64_t number = std::strtoll(argument->as_number().text.c_str(), nullptr, 10);
  bool negative = number < 0;
  uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  std::string digits;
  std::string prefix;
  auto rune = static_cast<uint32_t>(number < 0 || number > 0x10FFFF ? 0xFFFD : number);
  switch (d.verb) {
    case 'v':
    case 'd': digits = fmt::format("{}", magnitude); break;
    case 'b': digits = fmt::format("{:b}", magnitude); prefix = d.sharp ? "0b" : ""; break;
    case 'o': digits = fmt::format("{:o}", magnitude); prefix = d.sharp && !digits.starts_with('0') ? "0" : ""; break;
    case 'O': digits = fmt::format("{:o}", magnitude); prefix = "0o"; break;
    case 'x': digits = fmt::format("{:x}", magnitude); prefix = d.sharp ? "0x" : ""; break;
    case 'X': digits = fmt::format("{:X}", magnitude); prefix = d.sharp ? "0X" : ""; break;
    case 'c': append_rune(digits, rune); return padded(digits, d);
    case 'q': {
      append_rune(digits, rune);
      std::string quoted = go_quote(digits);
      quoted = digits == "\"" ? "\"" : digits == "'" ? "\\'" : quoted.substr(1, quoted.size() - 2);
      return padded("'" + quoted + "'", d);
    }
    case 'U': {
      std::string text = fmt::format("U+{:04X}", magnitude);
      if (d.sharp) append_rune(text += " '", rune), text += '\'';
      return padded(text, d);
    }
    default: return bad_verb(argument, d);
  }
  if (d.precision) {
    size_t precision = static_cast<size_t>(*d.precision);
    if (precision == 0 && number == 0) digits.clear();
    if (digits.size() < precision) digits.insert(0, precision - digits.size(), '0');
    Directive blank = d;
    blank.zero = false;
    return padded_number(negative, prefix, digits, blank);
  }
  return padded_number(negative, prefix, digits, d);
}

/// The fewest digits that give the number back; with an exponent below 1e-4 and from 1e6 on, as Go has it.
std::string shortest_float(double number) {
  char buffer[64];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific).ptr;
  std::string_view shortest(buffer, static_cast<size_t>(end - buffer));
  size_t e = shortest.find('e');
  std::string digits;
  for (char c : shortest.substr(0, e)) {
    if (c != '.') digits += c;
  }
  int exponent = std::atoi(std::string(shortest.substr(e + 1)).c_str());
  if (exponent < -4 || exponent >= 6) {
    return fmt::format("{}{}{}e{}{:02}", digits[0], digits.size() > 1 ? "." : "", digits.substr(1),
                       exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return digits + std::string(whole - digits.size(), '0');
  return digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string float_digits(double number, char verb, std::optional<int> precision) {
  switch (verb) {
    case 'e': return fmt::format("{:.{}e}", number, precision.value_or(6));
    case 'E': return fmt::format("{:.{}E}", number, precision.value_or(6));
    case 'f':
    case 'F': return fmt::format("{:.{}f}", number, precision.value_or(6));
    default: break;
  }
  std::string text = precision ? fmt::format("{:.{}g}", number, std::max(1, *precision)) : shortest_float(number);
  if (verb == 'G') text = upper(text);
  return text;
}

std::string format_float(const Ref& argument, const Directive& d) {
  if (std::string_view("veEfFgG").find(d.verb) == std::string_view::npos) return bad_verb(argument, d);
  const std::string& text = argument->as_number().text;
  if (text.find_first_of("NI") != std::string::npos) return padded(text, d);
  double number = std::strtod(text.c_str(), nullptr);
  return padded_number(std::signbit(number), "", float_digits(std::fabs(number), d.verb, d.precision), d);
}

std::string format_string(const Ref& argument, const Directive& d) {
  std::string text = argument->as_string();
  if (d.precision && d.verb != 'x' && d.verb != 'X') text = cut(text, *d.precision);
  switch (d.verb) {
    case 'v':
      if (d.sharp) return padded(go_quote(text), d);
      return padded(text, d);
    case 's': return padded(text, d);
    case 'q':
      if (d.sharp && text.find('`') == std::string::npos && is_valid_utf8(text)) return padded("`" + text + "`", d);
      return padded(go_quote(text), d);
    case 'x':
    case 'X': {
      if (d.precision) text = text.substr(0, static_cast<size_t>(*d.precision));
      std::string hex;
      for (size_t i = 0; i < text.size(); ++i) {
        if (i && d.space) hex += ' ';
        if (d.sharp && (i == 0 || d.space)) hex += d.verb == 'x' ? "0x" : "0X";
        auto byte = static_cast<unsigned char>(text[i]);
        hex += d.verb == 'x' ? fmt::format("{:02x}", byte) : fmt::format("{:02X}", byte);
      }
      return padded(hex, d);
    }
    default: return bad_verb(argument, d);
  }
}

/// Lists and maps: every element by the same directive.
std::string format_container(const Ref& argument, const Directive& d) {
  std::string out;
  auto add = [&](const std::string& text) {
    check_length(out.size() + text.size());
    if (!out.empty()) out += ' ';
    out += text;
  };
  auto element = [&](const Value& value) {
    return value.is_null() ? std::string("<nil>") : format_argument(Ref(argument, &value), d);
  };
  if (argument->is_list()) {
    for (const auto& item : argument->as_list()) add(element(item));
    return "[" + out + "]";
  }
  std::map<std::string, const Value*> sorted;
  for (const auto& member : argument->as_object()) sorted[member.key] = &member.value;
  for (const auto& [key, value] : sorted) {
    add(format_argument(make_ref(Value(key)), d) + ":" + element(*value));
  }
  return "map[" + out + "]";
}

std::string format_argument(const Ref& argument, const Directive& d) {
  if (d.verb == 'T') return padded(type_name(argument), d);
  if (!argument || argument->is_null()) return d.verb == 'v' ? padded("<nil>", d) : bad_verb(argument, d);
  switch (argument->kind()) {
    case Value::Kind::boolean:
      if (d.verb != 't' && d.verb != 'v') return bad_verb(argument, d);
      return padded(argument->as_bool() ? "true" : "false", d);
    case Value::Kind::number:
      return is_float(argument->as_number()) ? format_float(argument, d) : format_integer(argument, d);
    case Value::Kind::string: return format_string(argument, d);
    case Value::Kind::list:
    case Value::Kind::object: return format_container(argument, d);
    default: return padded(print_value(argument), d);
  }
}

/// Reads the directives of one format, one after another.
class Formatter {
 public:
  Formatter(std::string_view format, const std::vector<Ref>& arguments) : format_(format), arguments_(arguments) {}

  std::string run() {
    while (at_ < format_.size()) {
      size_t percent = std::min(format_.find('%', at_), format_.size());
      put(format_.substr(at_, percent - at_));
      at_ = percent;
      if (at_ < format_.size()) directive();
    }
    if (!reordered_ && next_ < arguments_.size()) put(extra());
    return std::move(out_);
  }

 private:
  void put(std::string_view text) {
    check_length(out_.size() + text.size());
    out_ += text;
  }

  std::string extra() const {
    std::string out = "%!(EXTRA ";
    for (size_t i = next_; i < arguments_.size(); ++i) {
      if (i > next_) out += ", ";
      bool none = !arguments_[i] || arguments_[i]->is_null();
      out += none ? "<nil>" : type_name(arguments_[i]) + "=" + print_value(arguments_[i]);
      check_length(out.size());
    }
    return out + ")";
  }

  bool take(char c) {
    if (at_ >= format_.size() || format_[at_] != c) return false;
    ++at_;
    return true;
  }

  /// "[n]": which argument is next.
  void argument_index() {
    if (at_ >= format_.size() || format_[at_] != '[') return;
    reordered_ = true;
    size_t close = format_.find(']', at_);
    if (close == std::string_view::npos) {
      bad_index_ = true;
      ++at_;
      return;
    }
    long number = 0;
    bool valid = close > at_ + 1 && close - at_ < 8;
    for (size_t i = at_ + 1; valid && i < close; ++i) {
      valid = format_[i] >= '0' && format_[i] <= '9';
      number = number * 10 + (format_[i] - '0');
    }
    at_ = close + 1;
    if (!valid || number < 1 || static_cast<size_t>(number) > arguments_.size()) bad_index_ = true;
    else next_ = static_cast<size_t>(number) - 1;
  }

  /// Digits or "*" of a width or precision. Go refuses more than a million.
  std::optional<int> size(const char* complaint) {
    argument_index();
    if (take('*')) {
      const Ref none;
      const Ref& argument = next_ < arguments_.size() ? arguments_[next_] : none;
      ++next_;
      if (!argument || argument->kind() != Value::Kind::number || is_float(argument->as_number())) {
        put(complaint);
        return {};
      }
      long number = std::strtol(argument->as_number().text.c_str(), nullptr, 10);
      if (number > 1000000 || number < -1000000) {
        put(complaint);
        return {};
      }
      return static_cast<int>(number);
    }
    std::optional<int> number;
    while (at_ < format_.size() && format_[at_] >= '0' && format_[at_] <= '9') {
      number = std::min(number.value_or(0) * 10 + (format_[at_] - '0'), 10000000);
      ++at_;
    }
    if (number && *number > 1000000) {
      put(complaint);
      return {};
    }
    return number;
  }

  void directive() {
    ++at_;
    Directive d;
    bad_index_ = false;
    for (bool flags = true; flags;) {
      if (take('+')) d.plus = true;
      else if (take('-')) d.minus = true;
      else if (take('#')) d.sharp = true;
      else if (take(' ')) d.space = true;
      else if (take('0')) d.zero = true;
      else flags = false;
    }
    d.width = size("%!(BADWIDTH)");
    if (d.width && *d.width < 0) {
      d.minus = true;
      d.width = -*d.width;
    }
    if (take('.')) {
      d.precision = size("%!(BADPREC)").value_or(0);
      if (*d.precision < 0) d.precision.reset();
    }
    argument_index();
    if (at_ >= format_.size()) return put("%!(NOVERB)");
    std::string_view rest = format_.substr(at_);
    std::string_view before = rest;
    take_rune(rest);
    std::string_view verb = before.substr(0, before.size() - rest.size());
    at_ += verb.size();
    if (verb == "%") return put("%");
    if (bad_index_) return put(fmt::format("%!{}(BADINDEX)", verb));
    if (next_ >= arguments_.size()) return put(fmt::format("%!{}(MISSING)", verb));
    const Ref& argument = arguments_[next_++];
    static constexpr std::string_view verbs = "vTtbcdoOqxXUeEfFgGs";
    if (verb.size() != 1 || verbs.find(verb[0]) == std::string_view::npos) {
      bool none = !argument || argument->is_null();
      return put(none ? fmt::format("%!{}(<nil>)", verb)
                      : fmt::format("%!{}({}={})", verb, type_name(argument), print_value(argument)));
    }
    d.verb = verb[0];
    put(format_argument(argument, d));
  }

  std::string_view format_;
  const std::vector<Ref>& arguments_;
  std::string out_;
  size_t at_ = 0;
  size_t next_ = 0;
  bool reordered_ = false;
  bool bad_index_ = false;
};

}  // namespace

std::string go_sprintf(std::string_view format, const std::vector<Ref>& arguments) {
  return Formatter(format, arguments).run();
}

std::string print_value(const Value& value) {
  Directive d;
  d.verb = 'v';
  if (value.is_unknown()) return "<unknown>";
  if (value.is_string()) return value.as_string();
  // Not owned: only read during the call.
  return format_argument(Ref(Ref(), &value), d);
}

std::string print_value(const Ref& value) { return value ? print_value(*value) : "<nil>"; }

std::string type_name(const Ref& value) {
  if (!value) return "<nil>";
  switch (value->kind()) {
    case Value::Kind::boolean: return "bool";
    case Value::Kind::number: return is_float(value->as_number()) ? "float64" : "int";
    case Value::Kind::string: return "string";
    case Value::Kind::list: return "[]interface {}";
    case Value::Kind::object: return "map[string]interface {}";
    default: return "<nil>";
  }
}

}  // namespace kiln::go_template
