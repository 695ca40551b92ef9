// Points in time as Go's layouts and strftime patterns write them; always UTC.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

namespace kiln {

/// Go's Time.Format: the layout shows how Mon Jan 2 15:04:05 MST 2006 would look.
std::string format_go_time(std::chrono::system_clock::time_point time, std::string_view layout);
/// Packer's strftime: %B %b %m %A %a %d %H %I %M %S %Y %y %p %Z %z %L %%; anything else is left as it is.
std::string format_strftime(std::chrono::system_clock::time_point time, std::string_view pattern);

}  // namespace kiln
