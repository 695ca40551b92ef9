#include "lang/hcl_time.h"

#include <fmt/format.h>

#include "base/text.h"

namespace kiln::hcl_fn {
namespace {

constexpr int64_t seconds_a_day = 86400;

bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int days_in_month(int month, int64_t year) {
  constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/// Days since 1970-01-01 (Howard Hinnant's algorithm).
int64_t days_of(int64_t year, int month, int day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t of_era = year - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void date_of(int64_t days, CivilTime& out) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t of_era = days - era * 146097;
  int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  int64_t month = (5 * of_year + 2) / 153;
  out.day = static_cast<int>(of_year - (153 * month + 2) / 5 + 1);
  out.month = static_cast<int>(month + (month < 10 ? 3 : -9));
  out.year = year + era * 400 + (out.month <= 2);
}

/// Go counts seconds from the year -292277022400 in 64 bits; the few that lie before come out at the other
/// end.
__int128 wrapped_seconds(int64_t unix_seconds) {
  // Whole cycles of 400 years, March to December of one more year, and from year 1 to 1970.
  constexpr uint64_t to_unix = (uint64_t{292277022400} / 400 * 146097 + 306 + 719162) * 86400;
  return static_cast<__int128>(static_cast<uint64_t>(unix_seconds) + to_unix) - to_unix;
}

/// Reads a text by the elements of one of Go's layouts.
class GoTimeReader {
 public:
  explicit GoTimeReader(std::string_view text) : rest_(text) {}

  /// With `padded`, months and days have two digits.
  bool date(bool padded) {
    size_t end = std::min<size_t>(rest_.size(), 4);
    std::string_view digits = rest_.substr(0, end);
    if (end < 4 || !all_digits(digits)) return bad("2006");
    year_ = number_of(digits);
    rest_.remove_prefix(4);
    return separator('-') && number(month_, padded, padded ? "01" : "1", 1, 12, "month") && separator('-') &&
           number(day_, padded, padded ? "02" : "2", 0, 99, "day");
  }
  bool clock(bool padded) {
    return number(hour_, false, "15", 0, 23, "hour") && separator(':') &&
           number(minute_, padded, "04", 0, 59, "minute") && separator(':') &&
           number(second_, padded, "05", 0, 59, "second") && fraction();
  }
  bool separator(char c) {
    if (rest_.starts_with(c)) {
      rest_.remove_prefix(1);
      return true;
    }
    return bad(std::string_view(&c, 1));
  }
  bool zone() {
    if (rest_.starts_with('Z')) {
      rest_.remove_prefix(1);
      return true;
    }
    std::string_view before = rest_;
    if (rest_.size() < 6 || rest_[3] != ':') return bad("Z07:00");
    std::string_view hours = rest_.substr(1, 2), minutes = rest_.substr(4, 2);
    char sign = rest_[0];
    rest_.remove_prefix(6);
    bool valid = all_digits(hours) && all_digits(minutes);
    if (valid && number_of(hours) > 24) return out_of_range("Z07:00", "time zone offset hour");
    if (valid && number_of(minutes) > 60) return out_of_range("Z07:00", "time zone offset minute");
    if (!valid || (sign != '+' && sign != '-')) {
      rest_ = before;
      return bad("Z07:00");
    }
    offset_ = (number_of(hours) * 60 + number_of(minutes)) * 60 * (sign == '-' ? -1 : 1);
    return true;
  }
  bool end() {
    if (!rest_.empty()) {
      mistake_ = {"", std::string(rest_), ": extra text: " + go_quote(rest_)};
      return false;
    }
    return day_in_month();
  }
  ZonedTime time() const {
    int64_t seconds =
        days_of(year_, month_, day_) * seconds_a_day + int64_t{hour_} * 3600 + int64_t{minute_} * 60 + second_;
    return {seconds - offset_, nanos_, offset_};
  }
  const TimeMistake& mistake() const { return mistake_; }

 private:
  static bool all_digits(std::string_view text) {
    return text.find_first_not_of("0123456789") == std::string_view::npos;
  }
  static int number_of(std::string_view digits) {
    int out = 0;
    for (char c : digits) out = out * 10 + (c - '0');
    return out;
  }
  bool digit(size_t at) const { return at < rest_.size() && rest_[at] >= '0' && rest_[at] <= '9'; }
  bool bad(std::string_view element) {
    mistake_ = {std::string(element), std::string(rest_), ""};
    return false;
  }
  bool out_of_range(std::string_view element, std::string_view what) {
    mistake_ = {std::string(element), std::string(rest_), fmt::format(": {} out of range", what)};
    return false;
  }
  bool number(int& out, bool fixed, std::string_view element, int low, int high, std::string_view what) {
    if (!digit(0) || (fixed && !digit(1))) return bad(element);
    size_t size = digit(1) ? 2 : 1;
    out = number_of(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return (out >= low && out <= high) || out_of_range(element, what);
  }
  bool fraction() {
    if (rest_.empty() || (rest_[0] != '.' && rest_[0] != ',') || !digit(1)) return true;
    size_t size = 1;
    int scale = 100000000;
    for (; digit(size); ++size, scale /= 10) nanos_ += (rest_[size] - '0') * scale;
    rest_.remove_prefix(size);
    return true;
  }
  bool day_in_month() {
    if (day_ >= 1 && day_ <= days_in_month(month_, year_)) return true;
    return out_of_range("", "day");
  }

  std::string_view rest_;
  int year_ = 0, month_ = 1, day_ = 1, hour_ = 0, minute_ = 0, second_ = 0, offset_ = 0;
  int32_t nanos_ = 0;
  TimeMistake mistake_;
};

}  // namespace

CivilTime civil_time(const ZonedTime& time) {
  CivilTime out;
  __int128 seconds = wrapped_seconds(time.unix_seconds) + time.offset;
  auto days = static_cast<int64_t>(seconds / seconds_a_day);
  auto of_day = static_cast<int>(seconds % seconds_a_day);
  if (of_day < 0) {
    of_day += seconds_a_day;
    --days;
  }
  date_of(days, out);
  out.hour = of_day / 3600;
  out.minute = of_day / 60 % 60;
  out.second = of_day % 60;
  out.weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
  out.year_day = static_cast<int>(days - days_of(out.year, 1, 1)) + 1;
  // The week belongs to the year that its Thursday is in.
  CivilTime thursday;
  int64_t thursday_day = days + 3 - (out.weekday + 6) % 7;
  date_of(thursday_day, thursday);
  out.iso_year = thursday.year;
  out.iso_week = static_cast<int>((thursday_day - days_of(thursday.year, 1, 1)) / 7) + 1;
  return out;
}

std::string format_rfc3339(const ZonedTime& time) {
  CivilTime civil = civil_time(time);
  std::string year = fmt::format("{}{:04}", civil.year < 0 ? "-" : "", std::abs(civil.year));
  std::string out = fmt::format("{}-{:02}-{:02}T{:02}:{:02}:{:02}", year, civil.month, civil.day, civil.hour,
                                civil.minute, civil.second);
  int minutes = time.offset / 60;
  if (time.offset == 0) return out + "Z";
  return out + fmt::format("{}{:02}:{:02}", minutes < 0 ? '-' : '+', std::abs(minutes) / 60,
                           std::abs(minutes) % 60);
}

std::optional<ZonedTime> parse_go_rfc3339(std::string_view text, TimeMistake* mistake) {
  GoTimeReader reader(text);
  if (reader.date(true) && reader.separator('T') && reader.clock(true) && reader.zone() && reader.end()) {
    return reader.time();
  }
  *mistake = reader.mistake();
  return {};
}

std::optional<ZonedTime> parse_yaml_time(std::string_view text) {
  if (text.find_first_not_of("0123456789") != 4 || text[4] != '-') return {};
  for (char separator : {'T', 't'}) {
    GoTimeReader reader(text);
    if (reader.date(false) && reader.separator(separator) && reader.clock(false) && reader.zone() &&
        reader.end()) {
      return reader.time();
    }
  }
  GoTimeReader spaced(text);
  if (spaced.date(false) && spaced.separator(' ') && spaced.clock(false) && spaced.end())
    return spaced.time();
  GoTimeReader day(text);
  if (day.date(false) && day.end()) return day.time();
  return {};
}

}  // namespace kiln::hcl_fn
