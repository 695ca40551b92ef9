#include "lang/go_time.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

const system_clock::time_point afternoon{milliseconds(1600009605042)};  // 2020-09-13 15:06:45.042, a Sunday
const system_clock::time_point morning{milliseconds(1583020809000)};    // 2020-03-01 00:00:09, day 61

// The expected texts are what Go's Time.Format gave.
TEST(GoTime, formats_layouts) {
  const std::pair<const char*, const char*> rows[] = {
      {"2006-01-02T15:04:05Z07:00", "2020-09-13T15:06:45Z"},
      {"Mon Jan _2 15:04:05 MST 2006", "Sun Sep 13 15:06:45 UTC 2020"},
      {"Monday, 02-Jan-06 03:04:05PM -0700", "Sunday, 13-Sep-20 03:06:45PM +0000"},
      {"January 2 3:4:5 pm", "September 13 3:6:45 pm"},
      {"15:04:05.000 .000000 .999 ,99", "15:06:45.042 .042000 .042 ,04"},
      {"002 __2", "257 257"},
      {"20060102150405", "20200913150645"},
      {"-07:00 -07 Z0700 Z07 -070000 -07:00:00 Z070000 Z07:00:00", "+00:00 +00 Z Z +000000 +00:00:00 Z Z"},
      {"Month Janet _2006 2006-1", "Month Janet _2020 2020-9"},
      {"no layout at all", "no layout at all"},
      {"", ""},
  };
  for (auto [layout, expected] : rows) EXPECT_EQ(format_go_time(afternoon, layout), expected) << layout;
}

TEST(GoTime, pads_and_knows_midnight) {
  EXPECT_EQ(format_go_time(morning, "03:04:05AM 3 _2|2|02|002|__2|Jan 1"), "12:00:09AM 12  1|1|01|061| 61|Mar 3");
  EXPECT_EQ(format_go_time(morning, "05.999|05.000"), "09|09.000");
}

TEST(GoTime, formats_strftime_as_packer_does) {
  EXPECT_EQ(format_strftime(afternoon, "%B %b %m %A %a %d %H %I %M %S %Y %y %p %Z %z %L %%"),
            "September Sep 09 Sunday Sun 13 15 03 06 45 2020 20 PM UTC +0000 .042 %");
  EXPECT_EQ(format_strftime(afternoon, "%j %e %"), "%j %e %");
}

}  // namespace
}  // namespace kiln
