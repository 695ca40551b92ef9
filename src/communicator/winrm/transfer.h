// Files over WinRM, which has none: PowerShell on the machine takes or gives them as lines of base64, and the
// digest at the end says whether everything came. One command for many files: starting PowerShell costs a
// second. Pure.
//
// Lines to the machine: ">PATH" opens a file, its path in base64 of UTF-8; "<" closes it and gives it its
// name; "+PATH" makes a directory; any other line is base64 of content. What comes back last is "kiln:done "
// and SHA-256 of all content. Lines from the machine: base64 of content, then the same.
#pragma once
#include <string>
#include <string_view>

namespace kiln {

/// Bytes of lines a message, which base64 makes a third longer: below the 150 KiB that the oldest service
/// takes.
constexpr size_t winrm_send_bytes = 100000;
/// Bytes of content a line.
constexpr size_t winrm_line_bytes = 60000;

std::string upload_command();
std::string download_command(const std::string& path);

std::string open_line(const std::string& path);
std::string close_line();
std::string directory_line(const std::string& path);
std::string content_line(std::string_view bytes);

/// A path with the machine's separators.
std::string windows_path(std::string path);

/// The digest of a line "kiln:done DIGEST", "" when it is none.
std::string done_digest(std::string_view line);

}  // namespace kiln
