#include "base/text.h"

#include <fmt/format.h>
#include <utf8proc.h>
#include <fnmatch.h>
#include <sys/random.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <ctime>

#include "base/error.h"
#include "base/lazy_crypto.h"

namespace kiln {

std::vector<std::string> split(std::string_view text, char separator) {
  return split(text, std::string_view(&separator, 1));
}

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  KILN_CHECK(!separator.empty());
  size_t from = 0;
  for (;;) {
    size_t at = text.find(separator, from);
    if (at == std::string_view::npos) break;
    parts.emplace_back(text.substr(from, at - from));
    from = at + separator.size();
  }
  parts.emplace_back(text.substr(from));
  return parts;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i) out += separator;
    out += parts[i];
  }
  return out;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string_view trim_right(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view trim(std::string_view text) {
  text = trim_right(text);
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

std::string replace_all(std::string text, std::string_view old_text, std::string_view new_text) {
  if (old_text.empty()) return text;
  std::string out;
  size_t from = 0;
  for (;;) {
    size_t at = text.find(old_text, from);
    if (at == std::string::npos) break;
    out.append(text, from, at - from);
    out += new_text;
    from = at + old_text.size();
  }
  if (from == 0) return text;
  out.append(text, from);
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// Length of the well-formed UTF-8 sequence at the start of text, 0 if there is none.
static size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  unsigned char b = byte(0);
  if (b < 0x80) return 1;
  size_t n = b >= 0xC2 && b <= 0xDF ? 2 : (b & 0xF0) == 0xE0 ? 3 : b >= 0xF0 && b <= 0xF4 ? 4 : 0;
  if (n == 0 || text.size() < n) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if (b == 0xE0 && byte(1) < 0xA0) return 0;
  if (b == 0xED && byte(1) > 0x9F) return 0;
  if (b == 0xF0 && byte(1) < 0x90) return 0;
  if (b == 0xF4 && byte(1) > 0x8F) return 0;
  return n;
}

bool is_valid_utf8(std::string_view text) {
  constexpr uint64_t beyond_ascii = 0x8080808080808080;
  while (!text.empty()) {
    uint64_t eight = beyond_ascii;
    if (text.size() >= sizeof eight) std::memcpy(&eight, text.data(), sizeof eight);
    size_t n = (eight & beyond_ascii) == 0 ? sizeof eight : utf8_length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

namespace {

utf8proc_int32_t code_point(std::string_view character) {
  utf8proc_int32_t rune = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(character.data()),
                   static_cast<utf8proc_ssize_t>(character.size()), &rune);
  return rune;
}

/// Go's IsPrint: letters, marks, numbers, punctuation and symbols.
bool is_printable(std::string_view character) {
  utf8proc_category_t category = utf8proc_category(code_point(character));
  return category != UTF8PROC_CATEGORY_CN && category < UTF8PROC_CATEGORY_ZS;
}

}  // namespace

std::string go_quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    unsigned char c = static_cast<unsigned char>(text.front());
    size_t n = utf8_length(text);
    if (n == 0) {
      out += fmt::format("\\x{:02x}", c);
      n = 1;
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\a') {
      out += "\\a";
    } else if (c == '\b') {
      out += "\\b";
    } else if (c == '\f') {
      out += "\\f";
    } else if (c == '\v') {
      out += "\\v";
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else if (n > 1 && !is_printable(text.substr(0, n))) {
      utf8proc_int32_t rune = code_point(text.substr(0, n));
      out += rune > 0xFFFF ? fmt::format("\\U{:08x}", rune) : fmt::format("\\u{:04x}", rune);
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n);
  }
  return out + '"';
}

std::string shell_quote(std::string_view text) {
  return "'" + replace_all(std::string(text), "'", "'\"'\"'") + "'";
}

// Every secret that is masked is masked in this form, too: a start of the program is no occasion to open OpenSSL.
std::string base64_encode(std::string_view bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve(4 * ((bytes.size() + 2) / 3));
  auto byte = [&](size_t i) -> uint32_t { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0; };
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (int shift : {18, 12, 6, 0}) out += digits[group >> shift & 63];
  }
  size_t padding = (3 - bytes.size() % 3) % 3;
  out.replace(out.size() - padding, padding, padding, '=');
  return out;
}

std::string base64_decode(std::string_view text) {
  std::string clean;
  for (char c : text) {
    if (!is_space(c)) clean += c;
  }
  if (clean.size() % 4 != 0) throw Error(ErrorKind::user, "not base64: its length is not a multiple of four");
  if (clean.empty()) return {};
  std::string out(clean.size() / 4 * 3, '\0');
  int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                          reinterpret_cast<const unsigned char*>(clean.data()), static_cast<int>(clean.size()));
  if (n < 0) throw Error(ErrorKind::user, "not base64: it has a character that base64 has not");
  size_t padding = clean.ends_with("==") ? 2 : clean.ends_with('=') ? 1 : 0;
  out.resize(static_cast<size_t>(n) - padding);
  return out;
}

std::string hex_encode(std::string_view bytes) {
  std::string out;
  for (unsigned char c : bytes) out += fmt::format("{:02x}", c);
  return out;
}

static size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::optional<std::string> nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  if (word.size() > 200) return best;
  for (const auto& candidate : candidates) {
    size_t distance = edit_distance(lower(word), lower(candidate));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::optional<std::chrono::nanoseconds> parse_go_duration(std::string_view text) {
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return std::chrono::nanoseconds(0);
  if (rest.empty()) return std::nullopt;
  long double total = 0;
  struct Unit {
    std::string_view name;
    long double nanos;
  };
  static constexpr Unit units[] = {{"ns", 1.0L},       {"us", 1e3L},       {"µs", 1e3L},  {"μs", 1e3L},
                                   {"ms", 1e6L},       {"s", 1e9L},        {"m", 60e9L},  {"h", 3600e9L}};
  while (!rest.empty()) {
    size_t n = 0;
    long double value = 0;
    long double scale = 0;
    bool any = false;
    for (; n < rest.size() && (std::isdigit(static_cast<unsigned char>(rest[n])) || (rest[n] == '.' && scale == 0));
         ++n) {
      if (rest[n] == '.') {
        scale = 1;
        continue;
      }
      any = true;
      if (scale == 0) {
        value = value * 10 + (rest[n] - '0');
      } else {
        scale /= 10;
        value += scale * (rest[n] - '0');
      }
    }
    if (!any) return std::nullopt;
    rest.remove_prefix(n);
    const Unit* found = nullptr;
    for (const auto& unit : units) {
      if (rest.starts_with(unit.name) && (!found || unit.name.size() > found->name.size())) found = &unit;
    }
    if (!found) return std::nullopt;
    rest.remove_prefix(found->name.size());
    total += value * found->nanos;
  }
  if (total > 9.2e18L) return std::nullopt;
  auto nanos = static_cast<int64_t>(std::llround(total));
  return std::chrono::nanoseconds(negative ? -nanos : nanos);
}

static std::string decimal(long double value) {
  std::string text = fmt::format("{:.9f}", static_cast<double>(value));
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string format_go_duration(std::chrono::nanoseconds duration) {
  int64_t n = duration.count();
  if (n == 0) return "0s";
  std::string sign = n < 0 ? "-" : "";
  uint64_t u = n < 0 ? 0 - static_cast<uint64_t>(n) : static_cast<uint64_t>(n);
  if (u < 1000) return sign + fmt::format("{}ns", u);
  if (u < 1000000) return sign + decimal(u / 1e3L) + "µs";
  if (u < 1000000000) return sign + decimal(u / 1e6L) + "ms";
  uint64_t seconds = u / 1000000000;
  std::string out = sign;
  if (seconds >= 3600) out += fmt::format("{}h", seconds / 3600);
  if (seconds >= 60) out += fmt::format("{}m", seconds / 60 % 60);
  uint64_t nanos = u % 1000000000;
  std::string fraction;
  if (nanos) {
    fraction = fmt::format(".{:09}", nanos);
    while (fraction.ends_with('0')) fraction.pop_back();
  }
  return out + fmt::format("{}{}s", seconds % 60, fraction);
}

std::string format_duration_words(std::chrono::nanoseconds duration) {
  struct Unit {
    std::string_view name;
    int64_t micros;
  };
  static constexpr Unit units[] = {{"week", 604800000000}, {"day", 86400000000}, {"hour", 3600000000},
                                   {"minute", 60000000},   {"second", 1000000},  {"millisecond", 1000},
                                   {"microsecond", 1}};
  int64_t left = duration.count() / 1000;
  if (left <= 0) return "0 microseconds";
  std::vector<std::string> parts;
  for (const auto& unit : units) {
    int64_t n = left / unit.micros;
    left %= unit.micros;
    if (n > 0 && parts.size() < 2) parts.push_back(fmt::format("{} {}{}", n, unit.name, n == 1 ? "" : "s"));
  }
  return join(parts, " ");
}

std::string format_bytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  for (const char* unit : {"KiB", "MiB", "GiB", "TiB"}) {
    value /= 1024;
    if (value < 1024) return fmt::format("{:.1f} {}", value, unit);
  }
  return fmt::format("{:.1f} PiB", value / 1024);
}

std::string format_rfc3339_utc(std::chrono::system_clock::time_point time) {
  std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm tm{};
  ::gmtime_r(&seconds, &tm);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                     tm.tm_hour, tm.tm_min, tm.tm_sec);
}

bool glob_match(std::string_view pattern, std::string_view text) {
  return ::fnmatch(std::string(pattern).c_str(), std::string(text).c_str(), FNM_PATHNAME) == 0;
}

std::string random_bytes(size_t length) {
  std::string out(length, '\0');
  size_t done = 0;
  while (done < length) {
    ssize_t n = ::getrandom(out.data() + done, length - done, 0);
    if (n < 0) throw_errno("getrandom");
    done += static_cast<size_t>(n);
  }
  return out;
}

std::string random_uuid() {
  std::string b = random_bytes(16);
  b[6] = static_cast<char>((b[6] & 0x0F) | 0x40);
  b[8] = static_cast<char>((b[8] & 0x3F) | 0x80);
  std::string h = hex_encode(b);
  return h.substr(0, 8) + "-" + h.substr(8, 4) + "-" + h.substr(12, 4) + "-" + h.substr(16, 4) + "-" + h.substr(20);
}

}  // namespace kiln
