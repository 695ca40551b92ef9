// Small text functions that the standard library lacks.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

std::vector<std::string> split(std::string_view text, char separator);
std::vector<std::string> split(std::string_view text, std::string_view separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);
std::string_view trim_right(std::string_view text);
std::string replace_all(std::string text, std::string_view old_text, std::string_view new_text);
std::string lower(std::string_view text);
std::string upper(std::string_view text);
bool contains(std::string_view text, std::string_view part);
/// Go's %q / strconv.Quote.
std::string go_quote(std::string_view text);
/// 'text' for a POSIX shell.
std::string shell_quote(std::string_view text);
std::string base64_encode(std::string_view bytes);
std::string base64_decode(std::string_view text);  ///< throws Error{user} on bad input
std::string hex_encode(std::string_view bytes);
bool is_valid_utf8(std::string_view text);

/// The candidate nearest to `word` (edit distance, at most a third of its length), for "did you mean".
std::optional<std::string> nearest_name(std::string_view word, const std::vector<std::string>& candidates);

/// Go's time.ParseDuration ("1h30m", "1.5s", "300ms"); nullopt if it is not one. A bare "0" is zero.
std::optional<std::chrono::nanoseconds> parse_go_duration(std::string_view text);
/// Go's Duration.String ("1m30s", "1.5s", "0s").
std::string format_go_duration(std::chrono::nanoseconds duration);
/// Packer's words for how long something took: the two largest units, "16 milliseconds 458 microseconds",
/// "1 minute 3 seconds", "1 hour 1 minute".
std::string format_duration_words(std::chrono::nanoseconds duration);
/// "12.3 MiB".
std::string format_bytes(uint64_t bytes);
/// RFC 3339 in UTC, seconds ("2026-11-23T20:00:00Z").
std::string format_rfc3339_utc(std::chrono::system_clock::time_point time);

/// Shell-style match with * ? [a-z] within one path part.
bool glob_match(std::string_view pattern, std::string_view text);
/// A random version-4 UUID, lower case.
std::string random_uuid();
/// `length` random bytes from the kernel.
std::string random_bytes(size_t length);

}  // namespace kiln
