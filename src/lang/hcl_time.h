// Points in time with the offset they were written with, as Go's package time reads and prints them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kiln::hcl_fn {

struct ZonedTime {
  int64_t unix_seconds = 0;
  int32_t nanos = 0;
  int offset = 0;  ///< seconds east of UTC
};

/// A day of the Gregorian calendar and a time of day; any 64-bit second has one.
struct CivilTime {
  int64_t year = 1970;
  int month = 1, day = 1;  ///< from 1
  int hour = 0, minute = 0, second = 0;
  int weekday = 4;   ///< 0 is Sunday
  int year_day = 1;  ///< from 1
  int64_t iso_year = 1970;
  int iso_week = 1;
};

CivilTime civil_time(const ZonedTime& time);
/// Seconds only: "2006-01-02T15:04:05Z".
std::string format_rfc3339(const ZonedTime& time);

/// What Go's time.Parse says of a text that is no RFC 3339: the element of the layout, what stood in its
/// place, more.
struct TimeMistake {
  std::string element;
  std::string found;
  std::string message;
};
/// Go's time.Parse(time.RFC3339), which also takes "T4:05:06" and a comma before the fraction.
std::optional<ZonedTime> parse_go_rfc3339(std::string_view text, TimeMistake* mistake);
/// The four forms of YAML's timestamps.
std::optional<ZonedTime> parse_yaml_time(std::string_view text);

}  // namespace kiln::hcl_fn
