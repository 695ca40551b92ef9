#include "lang/go_time.h"

#include <fmt/format.h>

#include <ctime>
#include <optional>

namespace kiln {
namespace {

constexpr std::string_view month_names[] = {"January", "February", "March",     "April",   "May",      "June",
                                            "July",    "August",   "September", "October", "November", "December"};
constexpr std::string_view day_names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

struct BrokenTime {
  std::tm tm{};
  int64_t nanos = 0;
  int hour12() const { return tm.tm_hour % 12 == 0 ? 12 : tm.tm_hour % 12; }
  std::string_view month() const { return month_names[tm.tm_mon]; }
  std::string_view weekday() const { return day_names[tm.tm_wday]; }
  std::string year() const { return fmt::format("{:04}", tm.tm_year + 1900); }
};

BrokenTime break_time(std::chrono::system_clock::time_point time) {
  auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch());
  auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  BrokenTime out;
  auto clock = static_cast<std::time_t>(seconds.count());
  gmtime_r(&clock, &out.tm);
  out.nanos = (since - seconds).count();
  return out;
}

bool is_digit_at(std::string_view text, size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; }

/// A fraction of a second: "." or "," and then only 0s (that many digits) or 9s (without trailing zeros).
std::optional<std::string> fraction(std::string_view& layout, const BrokenTime& time) {
  if (layout.size() < 2 || (layout[0] != '.' && layout[0] != ',') || (layout[1] != '0' && layout[1] != '9')) return {};
  size_t end = 1;
  while (end < layout.size() && layout[end] == layout[1]) ++end;
  if (is_digit_at(layout, end)) return {};
  std::string digits = fmt::format("{:09}", time.nanos);
  size_t count = end - 1;
  digits = count <= 9 ? digits.substr(0, count) : digits + std::string(std::min<size_t>(count, 64) - 9, '0');
  char separator = layout[0];
  bool trims = layout[1] == '9';
  layout.remove_prefix(end);
  while (trims && digits.ends_with('0')) digits.pop_back();
  return digits.empty() ? "" : separator + digits;
}

struct LayoutPart {
  std::string_view pattern;
  std::string (*format)(const BrokenTime&);
};

// The longer of two patterns with the same beginning comes first.
const LayoutPart layout_parts[] = {
    {"January", [](const BrokenTime& t) { return std::string(t.month()); }},
    {"Monday", [](const BrokenTime& t) { return std::string(t.weekday()); }},
    {"MST", [](const BrokenTime&) { return std::string("UTC"); }},
    {"002", [](const BrokenTime& t) { return fmt::format("{:03}", t.tm.tm_yday + 1); }},
    {"01", [](const BrokenTime& t) { return fmt::format("{:02}", t.tm.tm_mon + 1); }},
    {"02", [](const BrokenTime& t) { return fmt::format("{:02}", t.tm.tm_mday); }},
    {"03", [](const BrokenTime& t) { return fmt::format("{:02}", t.hour12()); }},
    {"04", [](const BrokenTime& t) { return fmt::format("{:02}", t.tm.tm_min); }},
    {"05", [](const BrokenTime& t) { return fmt::format("{:02}", t.tm.tm_sec); }},
    {"06", [](const BrokenTime& t) { return t.year().substr(2); }},
    {"15", [](const BrokenTime& t) { return fmt::format("{:02}", t.tm.tm_hour); }},
    {"2006", [](const BrokenTime& t) { return t.year(); }},
    {"__2", [](const BrokenTime& t) { return fmt::format("{:3}", t.tm.tm_yday + 1); }},
    {"_2006", [](const BrokenTime& t) { return "_" + t.year(); }},
    {"_2", [](const BrokenTime& t) { return fmt::format("{:2}", t.tm.tm_mday); }},
    {"1", [](const BrokenTime& t) { return fmt::format("{}", t.tm.tm_mon + 1); }},
    {"2", [](const BrokenTime& t) { return fmt::format("{}", t.tm.tm_mday); }},
    {"3", [](const BrokenTime& t) { return fmt::format("{}", t.hour12()); }},
    {"4", [](const BrokenTime& t) { return fmt::format("{}", t.tm.tm_min); }},
    {"5", [](const BrokenTime& t) { return fmt::format("{}", t.tm.tm_sec); }},
    {"PM", [](const BrokenTime& t) { return std::string(t.tm.tm_hour >= 12 ? "PM" : "AM"); }},
    {"pm", [](const BrokenTime& t) { return std::string(t.tm.tm_hour >= 12 ? "pm" : "am"); }},
    {"-07:00:00", [](const BrokenTime&) { return std::string("+00:00:00"); }},
    {"-070000", [](const BrokenTime&) { return std::string("+000000"); }},
    {"-07:00", [](const BrokenTime&) { return std::string("+00:00"); }},
    {"-0700", [](const BrokenTime&) { return std::string("+0000"); }},
    {"-07", [](const BrokenTime&) { return std::string("+00"); }},
    {"Z07:00:00", [](const BrokenTime&) { return std::string("Z"); }},
    {"Z070000", [](const BrokenTime&) { return std::string("Z"); }},
    {"Z07:00", [](const BrokenTime&) { return std::string("Z"); }},
    {"Z0700", [](const BrokenTime&) { return std::string("Z"); }},
    {"Z07", [](const BrokenTime&) { return std::string("Z"); }},
};

/// "Jan" and "Mon" count only when no lower-case letter follows ("Month" is a word).
std::optional<std::string> short_name(std::string_view& layout, const BrokenTime& time) {
  if (!layout.starts_with("Jan") && !layout.starts_with("Mon")) return {};
  if (layout.size() > 3 && layout[3] >= 'a' && layout[3] <= 'z') return {};
  std::string out(layout[0] == 'J' ? time.month().substr(0, 3) : time.weekday().substr(0, 3));
  layout.remove_prefix(3);
  return out;
}

std::optional<std::string> strftime_part(char letter, const BrokenTime& time) {
  switch (letter) {
    case 'B': return std::string(time.month());
    case 'b': return std::string(time.month().substr(0, 3));
    case 'm': return fmt::format("{:02}", time.tm.tm_mon + 1);
    case 'A': return std::string(time.weekday());
    case 'a': return std::string(time.weekday().substr(0, 3));
    case 'd': return fmt::format("{:02}", time.tm.tm_mday);
    case 'H': return fmt::format("{:02}", time.tm.tm_hour);
    case 'I': return fmt::format("{:02}", time.hour12());
    case 'M': return fmt::format("{:02}", time.tm.tm_min);
    case 'S': return fmt::format("{:02}", time.tm.tm_sec);
    case 'Y': return time.year();
    case 'y': return time.year().substr(2);
    case 'p': return std::string(time.tm.tm_hour >= 12 ? "PM" : "AM");
    case 'Z': return std::string("UTC");
    case 'z': return std::string("+0000");
    case 'L': return fmt::format(".{:03}", time.nanos / 1000000);
    case '%': return std::string("%");
    default: return {};
  }
}

}  // namespace

std::string format_go_time(std::chrono::system_clock::time_point when, std::string_view layout) {
  BrokenTime time = break_time(when);
  std::string out;
  while (!layout.empty()) {
    if (auto text = fraction(layout, time)) {
      out += *text;
      continue;
    }
    const LayoutPart* found = nullptr;
    for (const auto& part : layout_parts) {
      if (!layout.starts_with(part.pattern)) continue;
      found = &part;
      break;
    }
    if (found) {
      out += found->format(time);
      layout.remove_prefix(found->pattern.size());
    } else if (auto name = short_name(layout, time)) {
      out += *name;
    } else {
      out += layout.front();
      layout.remove_prefix(1);
    }
  }
  return out;
}

std::string format_strftime(std::chrono::system_clock::time_point when, std::string_view pattern) {
  BrokenTime time = break_time(when);
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    auto part = pattern[i] == '%' && i + 1 < pattern.size() ? strftime_part(pattern[i + 1], time) : std::nullopt;
    if (part) {
      out += *part;
      ++i;
    } else {
      out += pattern[i];
    }
  }
  return out;
}

}  // namespace kiln
