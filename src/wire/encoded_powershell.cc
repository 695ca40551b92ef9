#include "wire/encoded_powershell.h"

#include "base/text.h"

namespace kiln {

namespace {

void append_utf16(std::string& out, uint32_t unit) {
  out += static_cast<char>(unit & 0xff);
  out += static_cast<char>(unit >> 8);
}

/// Bad UTF-8 becomes U+FFFD, a byte at a time.
uint32_t next_rune(std::string_view& text) {
  auto first = static_cast<unsigned char>(text[0]);
  size_t length = first < 0x80         ? 1
                  : (first >> 5) == 6  ? 2
                  : (first >> 4) == 14 ? 3
                  : (first >> 3) == 30 ? 4
                                       : 0;
  if (length == 0 || length > text.size() || !is_valid_utf8(text.substr(0, length))) {
    text.remove_prefix(1);
    return 0xfffd;
  }
  uint32_t rune = length == 1 ? first : first & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) rune = rune << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
  text.remove_prefix(length);
  return rune;
}

}  // namespace

std::string encode_for_powershell(std::string_view script) {
  std::string utf16;
  for (std::string_view rest = script; !rest.empty();) {
    uint32_t rune = next_rune(rest);
    if (rune >= 0x10000) {
      rune -= 0x10000;
      append_utf16(utf16, 0xd800 | rune >> 10);
      append_utf16(utf16, 0xdc00 | (rune & 0x3ff));
    } else {
      append_utf16(utf16, rune);
    }
  }
  return base64_encode(utf16);
}

std::string encoded_powershell(std::string_view script) {
  return "powershell.exe -EncodedCommand " +
         encode_for_powershell("$ProgressPreference = 'SilentlyContinue';" + std::string(script));
}

}  // namespace kiln
