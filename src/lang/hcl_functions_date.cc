// formatdate timeadd timestamp legacy_isotime legacy_strftime rfc3339_parse unix_timestamp_parse. Source:
// go-cty's documentation of its standard library, Packer's of its functions.
#include <fmt/format.h>

#include "base/text.h"
#include "lang/go_time.h"
#include "lang/hcl_function_kit.h"
#include "lang/hcl_time.h"

namespace kiln::hcl_fn {
namespace {

constexpr std::string_view months[] = {"January", "February", "March",     "April",   "May",      "June",
                                       "July",    "August",   "September", "October", "November", "December"};
constexpr std::string_view weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                         "Thursday", "Friday", "Saturday"};

std::string timestamp_problem(const TimeMistake& mistake) {
  const std::string& found = mistake.found;
  if (mistake.element.empty() && found.empty()) return mistake.message;
  std::string_view what = "timestamp segment";
  static constexpr std::pair<std::string_view, std::string_view> names[] = {
      {"2006", "year"}, {"01", "month"},  {"02", "day of month"},  {"15", "hour"},
      {"04", "minute"}, {"05", "second"}, {"Z07:00", "UTC offset"}};
  for (const auto& [element, name] : names) {
    if (mistake.element == element) what = name;
  }
  if (mistake.element == "T") return ": missing required time introducer 'T'";
  if (mistake.element == ":" || mistake.element == "-") {
    if (found.empty()) return fmt::format(": end of string where {} is expected", go_quote(mistake.element));
    return fmt::format(": found {} where {} is expected", go_quote(found), go_quote(mistake.element));
  }
  if (found.empty()) return fmt::format(": end of string before {}", what);
  if (what == "hour" && contains(found, ":")) return ": hour must be between 0 and 23 inclusive";
  if (what == "hour" && found.size() != 2) return ": hour must have exactly two digits";
  if (what == "minute" && found.size() != 2) return ": minute must have exactly two digits";
  return fmt::format(": cannot use {} as {}", go_quote(found), what);
}

/// What Go's lenient reader takes and RFC 3339 does not.
std::optional<TimeMistake> strict_mistake(const std::string& text) {
  if (text[12] == ':') return TimeMistake{"15", text.substr(11, 1), ""};
  if (text[19] == ',') return TimeMistake{".", ",", ""};
  if (text.back() == 'Z') return {};
  std::string zone = text.substr(text.size() - 6);
  if (zone.substr(1, 2) >= "24" || zone.substr(4, 2) >= "60") return TimeMistake{"Z07:00", zone, ""};
  return {};
}

ZonedTime read_timestamp(const std::string& text, int argument) {
  TimeMistake mistake;
  auto time = parse_go_rfc3339(text, &mistake);
  if (time) {
    auto strict = strict_mistake(text);
    if (!strict) return *time;
    mistake = *strict;
  }
  fail("not a valid RFC3339 timestamp" + timestamp_problem(mistake), argument);
}

// --- formatdate ---

bool is_date_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// A quoted part of a format with its quotes; throws when it does not end.
std::string_view quoted_part(std::string_view format) {
  size_t at = 1;
  while (at < format.size()) {
    if (format[at++] != '\'') continue;
    if (at >= format.size() || format[at] != '\'' || at == 2) return format.substr(0, at);
    ++at;
  }
  if (format.size() > 1 && format.ends_with('\'')) return format;  // a doubled quote at the very end will do
  fail("unterminated literal '", 0);
}

std::string unquoted(std::string_view part) {
  if (part.size() == 2) return "'";
  return replace_all(std::string(part.substr(1, part.size() - 2)), "''", "'");
}

std::string short_or_padded(int number, size_t letters) {
  return letters == 1 ? std::to_string(number) : fmt::format("{:02}", number);
}

std::string offset_text(int offset, const char* separator) {
  int minutes = std::abs(offset) / 60;
  return fmt::format("{}{:02}{}{:02}", offset < 0 ? '-' : '+', minutes / 60, separator, minutes % 60);
}

struct DateVerb {
  char letter;
  std::string_view lengths;  ///< which repeats there are
  const char* rule;
};
constexpr DateVerb date_verbs[] = {
    {'Y', "24", ": year must either be \"YY\" or \"YYYY\""},
    {'M', "1234", ": month must be \"M\", \"MM\", \"MMM\", or \"MMMM\""},
    {'D', "12", ": day of month must either be \"D\" or \"DD\""},
    {'E', "34", ": day of week must either be \"EEE\" or \"EEEE\""},
    {'h', "12", ": 24-hour must either be \"h\" or \"hh\""},
    {'H', "12", ": 12-hour must either be \"H\" or \"HH\""},
    {'A', "2", ": must be \"AA\""},
    {'a', "2", ": must be \"aa\""},
    {'m', "12", ": minute must either be \"m\" or \"mm\""},
    {'s', "12", ": second must either be \"s\" or \"ss\""},
    {'Z', "1345", ": timezone must be Z, ZZZZ, or ZZZZZ"},
};

void check_date_verb(std::string_view verb) {
  for (const auto& known : date_verbs) {
    if (known.letter != verb[0]) continue;
    bool fits = verb.size() < 10 &&
                known.lengths.find(static_cast<char>('0' + verb.size())) != std::string_view::npos;
    if (fits) return;
    fail(fmt::format("invalid date format verb {}{}", go_quote(verb), known.rule), 0);
  }
  fail(fmt::format("invalid date format verb {}", go_quote(verb)), 0);
}

std::string date_verb(std::string_view verb, const CivilTime& time, int offset) {
  check_date_verb(verb);
  size_t letters = verb.size();
  switch (verb[0]) {
    case 'Y':
      return letters == 2 ? fmt::format("{:02}", time.year % 100) : fmt::format("{:04}", time.year);
    case 'M': {
      std::string_view name = months[time.month - 1];
      if (letters > 2) return std::string(letters == 3 ? name.substr(0, 3) : name);
      return short_or_padded(time.month, letters);
    }
    case 'D':
      return short_or_padded(time.day, letters);
    case 'E':
      return std::string(letters == 3 ? weekdays[time.weekday].substr(0, 3) : weekdays[time.weekday]);
    case 'h':
      return short_or_padded(time.hour, letters);
    case 'H':
      return short_or_padded(time.hour % 12 == 0 ? 12 : time.hour % 12, letters);
    case 'A':
      return time.hour < 12 ? "AM" : "PM";
    case 'a':
      return time.hour < 12 ? "am" : "pm";
    case 'm':
      return short_or_padded(time.minute, letters);
    case 's':
      return short_or_padded(time.second, letters);
    default:
      break;
  }
  if (letters == 1 && offset == 0) return "Z";
  if (letters == 3 && offset_text(offset, "") == "+0000") return "UTC";
  return offset_text(offset, letters == 1 || letters == 5 ? ":" : "");
}

HclValue format_date(const Arguments& arguments, const HclType&, const HclHost&) {
  std::string_view format = arguments[0].as_string();
  ZonedTime zoned = read_timestamp(arguments[1].as_string(), 1);
  CivilTime time = civil_time(zoned);
  std::string out;
  while (!format.empty()) {
    std::string_view part;
    if (format[0] == '\'') {
      part = quoted_part(format);
      out += unquoted(part);
    } else if (is_date_letter(format[0])) {
      part = format.substr(0, std::min(format.find_first_not_of(format[0]), format.size()));
      out += date_verb(part, time, zoned.offset);
    } else {
      size_t end = 1;
      while (end < format.size() && format[end] != '\'' && !is_date_letter(format[end])) ++end;
      part = format.substr(0, end);
      out += part;
    }
    format.remove_prefix(part.size());
  }
  return HclValue::string(std::move(out));
}

// --- timeadd ---

/// Quoted as Go's package time quotes: whatever is no printable ASCII by its bytes.
std::string quote_for_time(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < ' ' || byte >= 0x80)
      out += fmt::format("\\x{:02x}", byte);
    else if (c == '"' || c == '\\')
      out += std::string("\\") + c;
    else
      out += c;
  }
  return out + "\"";
}

/// Why a text is no duration.
std::string duration_problem(std::string_view text) {
  std::string quoted = quote_for_time(text);
  std::string invalid = "time: invalid duration " + quoted;
  std::string_view rest = text;
  if (rest.starts_with('-') || rest.starts_with('+')) rest.remove_prefix(1);
  auto digits = [&] {
    size_t count = std::min(rest.find_first_not_of("0123456789"), rest.size());
    rest.remove_prefix(count);
    return count;
  };
  if (rest.empty()) return invalid;
  while (!rest.empty()) {
    if (rest[0] != '.' && !(rest[0] >= '0' && rest[0] <= '9')) return invalid;
    size_t count = digits();
    if (rest.starts_with('.')) {
      rest.remove_prefix(1);
      count += digits();
    }
    if (count == 0) return invalid;
    std::string_view unit = rest.substr(0, std::min(rest.find_first_of(".0123456789"), rest.size()));
    rest.remove_prefix(unit.size());
    if (unit.empty()) return "time: missing unit in duration " + quoted;
    bool known = false;
    for (std::string_view name : {"ns", "us", "\xc2\xb5s", "\xce\xbcs", "ms", "s", "m", "h"})
      known = known || unit == name;
    if (!known) return fmt::format("time: unknown unit {} in duration {}", quote_for_time(unit), quoted);
  }
  return invalid;
}

std::string time_add(const std::vector<std::string>& texts) {
  ZonedTime time = read_timestamp(texts[0], -1);
  auto duration = parse_go_duration(texts[1]);
  if (!duration) fail(duration_problem(texts[1]));
  auto sum = std::chrono::nanoseconds(time.nanos) + *duration % std::chrono::seconds(1);
  auto whole = std::chrono::floor<std::chrono::seconds>(sum) +
               std::chrono::duration_cast<std::chrono::seconds>(*duration);
  time.unix_seconds += whole.count();
  return format_rfc3339(time);
}

// --- the others ---

HclValue time_parts(const ZonedTime& zoned, std::string_view other, HclValue other_value) {
  CivilTime time = civil_time(zoned);
  auto number = [](int64_t value) { return HclValue::number(value); };
  HclValue::Members parts;
  parts["year"] = number(time.year);
  parts["year_day"] = number(time.year_day);
  parts["day"] = number(time.day);
  parts["month"] = number(time.month);
  parts["month_name"] = HclValue::string(std::string(months[time.month - 1]));
  parts["weekday"] = number(time.weekday);
  parts["weekday_name"] = HclValue::string(std::string(weekdays[time.weekday]));
  parts["hour"] = number(time.hour);
  parts["minute"] = number(time.minute);
  parts["second"] = number(time.second);
  parts["iso_year"] = number(time.iso_year);
  parts["iso_week"] = number(time.iso_week);
  parts[std::string(other)] = std::move(other_value);
  return HclValue::object(std::move(parts));
}

HclType time_parts_type(std::string_view other, const HclType& other_type) {
  ZonedTime any;
  HclType::Attributes attributes = time_parts(any, other, HclValue::null(other_type)).type().attributes();
  return HclType::object(std::move(attributes));
}

HclValue rfc3339_parse(const Arguments& arguments, const HclType&, const HclHost&) {
  const std::string& text = arguments[0].as_string();
  std::string with_t = text;
  if (with_t.size() > 10 && with_t[10] == ' ') with_t[10] = 'T';
  TimeMistake mistake;
  auto time = parse_go_rfc3339(with_t, &mistake);
  if (!time) fail(fmt::format("{} is not a valid RFC3339 timestamp", go_quote(text)), 0);
  return time_parts(*time, "unix", HclValue::number(time->unix_seconds));
}

HclValue unix_timestamp_parse(const Arguments& arguments, const HclType&, const HclHost&) {
  ZonedTime time;
  time.unix_seconds =
      whole_number(arguments[0],
                   "unix_timestamp must be a whole number of seconds representable as a 64-bit integer: ", 0);
  return time_parts(time, "rfc3339", HclValue::string(format_rfc3339(time)));
}

using TimeFormat = std::string (*)(std::chrono::system_clock::time_point, std::string_view);

/// Both legacy functions: RFC 3339 without a format.
Body started_at(TimeFormat format) {
  return [format](const Arguments& arguments, const HclType&, const HclHost& host) {
    if (arguments.empty()) return HclValue::string(format_rfc3339_utc(host.started));
    if (arguments.size() > 1) {
      std::string given;  // as Go prints cty's values
      for (const auto& argument : arguments)
        given += (given.empty() ? "" : " ") + ("{{{{} 83}} " + argument.as_string()) + "}";
      fail(fmt::format("too many values, 1 needed: [{}]", given));
    }
    return HclValue::string(format(host.started, arguments[0].as_string()));
  };
}

}  // namespace

void add_date(HclFunctionTable& table) {
  TypeRule gives_text = always(HclType::string());
  table["formatdate"] = function("Writes a timestamp by a format such as \"DD MMM YYYY hh:mm\".",
                                 {text("format"), text("time")}, gives_text, format_date);
  table["timeadd"] =
      text_function("Adds a duration such as \"1h30m\" to a timestamp.", {"timestamp", "duration"}, time_add);
  table["timestamp"] = function("Returns the present time in UTC as RFC 3339 has it.", {}, gives_text,
                                [](const Arguments&, const HclType&, const HclHost& host) {
                                  if (!host.now) fail("the time is not known here");
                                  return HclValue::string(format_rfc3339_utc(host.now()));
                                });
  table["legacy_isotime"] =
      function("Returns when the program started, by a layout of Go's or as RFC 3339 has it.", {},
               text("format"), gives_text, started_at(format_go_time));
  table["legacy_strftime"] = function("Returns when the program started, by a pattern of strftime.", {},
                                      text("format"), gives_text, started_at(format_strftime));
  table["rfc3339_parse"] =
      function("Takes a timestamp apart: year, month, day and so on, and its Unix time.", {text("timestamp")},
               always(time_parts_type("unix", HclType::number())), rfc3339_parse);
  table["unix_timestamp_parse"] =
      function("Takes a Unix time apart: year, month, day and so on, and its RFC 3339 form.",
               {number("unix_timestamp")}, always(time_parts_type("rfc3339", HclType::string())),
               unix_timestamp_parse);
}

}  // namespace kiln::hcl_fn
