// base64, gzip and URL encoding. Source: Go's documentation of encoding/base64, net/url and compress/gzip.

#include "base/error.h"
#include "base/lazy_zlib.h"
#include "base/text.h"
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool is_newline(char c) { return c == '\n' || c == '\r'; }

std::string base64_decode_text(const std::string& encoded) {
  size_t bad = 0;
  auto bytes = go_base64_decode(encoded, &bad);
  if (!bytes) fail("failed to decode base64 data '" + encoded + "'");
  if (!is_valid_utf8(*bytes)) fail("the result of decoding the the provided string is not valid UTF-8");
  return *bytes;
}

std::string url_encode(std::string_view text) {
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == ' ')
      out += '+';
    else if (std::isalnum(byte) || contains("-_.~", std::string_view(&c, 1)))
      out += c;
    else
      out += "%" + upper(hex_encode(std::string_view(&c, 1)));
  }
  return out;
}

void put_little_endian(std::string& out, uint32_t number) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(number >> shift & 0xFF);
}

/// What Go's writer makes of Write, Flush, Close: the data, an empty stored block, an empty last stored
/// block.
std::string gzip_flushed(const std::string& text) {
  z_stream stream{};
  KILN_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string deflated(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(deflated.data());
  stream.avail_out = static_cast<uInt>(deflated.size());
  int result = deflate(&stream, Z_SYNC_FLUSH);
  deflated.resize(deflated.size() - stream.avail_out);
  deflateEnd(&stream);
  KILN_CHECK(result == Z_OK || (result == Z_BUF_ERROR && text.empty()));
  if (text.empty()) deflated = std::string("\x00\x00\x00\xff\xff", 5);
  std::string out("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", 10);
  out += deflated;
  out += std::string("\x01\x00\x00\xff\xff", 5);
  put_little_endian(out, static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(text.data()),
                                                     static_cast<uInt>(text.size()))));
  put_little_endian(out, static_cast<uint32_t>(text.size()));
  return out;
}

}  // namespace

std::optional<std::string> go_base64_decode(std::string_view text, size_t* bad) {
  std::string out;
  uint32_t bits = 0;
  int digits = 0;
  size_t at = 0;
  auto refuse = [&](size_t where) {
    *bad = where;
    return std::nullopt;
  };
  while (true) {
    if (at == text.size()) {
      if (digits == 0) return out;
      return refuse(at - static_cast<size_t>(digits));
    }
    char c = text[at++];
    if (is_newline(c)) continue;
    int digit = base64_digit(c);
    if (digit >= 0) {
      bits = bits << 6 | static_cast<uint32_t>(digit);
      if (++digits < 4) continue;
      for (int shift = 16; shift >= 0; shift -= 8) out += static_cast<char>(bits >> shift & 0xFF);
      bits = 0;
      digits = 0;
      continue;
    }
    if (c != '=' || digits < 2) return refuse(at - 1);
    if (digits == 2) {  // a second "=" must follow
      while (at < text.size() && is_newline(text[at])) ++at;
      if (at == text.size()) return refuse(text.size());
      if (text[at] != '=') return refuse(at - 1);
      ++at;
    }
    while (at < text.size() && is_newline(text[at])) ++at;
    if (at < text.size()) return refuse(at);
    bits <<= 6 * (4 - digits);
    for (int i = 0; i < digits - 1; ++i) out += static_cast<char>(bits >> (16 - 8 * i) & 0xFF);
    return out;
  }
}

void add_encoding(HclFunctionTable& table) {
  using Texts = std::vector<std::string>;
  table["base64encode"] = text_function("Encodes a text as base64.", {"str"}, [](const Texts& a) {
    check_text(a[0].size() / 3 * 4);
    return base64_encode(a[0]);
  });
  table["base64decode"] = text_function("Decodes base64 to a text.", {"str"},
                                        [](const Texts& a) { return base64_decode_text(a[0]); });
  table["base64gzip"] = text_function("Compresses a text with gzip and encodes the result as base64.",
                                      {"str"}, [](const Texts& a) {
                                        check_text(a[0].size());
                                        return base64_encode(gzip_flushed(a[0]));
                                      });
  table["urlencode"] =
      text_function("Escapes a text for use in the query of a URL.", {"str"}, [](const Texts& a) {
        check_text(a[0].size());
        return url_encode(a[0]);
      });
  add_charset(table);
}

}  // namespace kiln::hcl_fn
