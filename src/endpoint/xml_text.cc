#include "endpoint/xml_text.h"

#include <algorithm>

#include "base/text.h"

namespace kiln::ec2 {

namespace {

/// What may stand in XML as it is: printable ASCII but for the four that are markup. Nearly all texts are
/// only that.
bool is_plain(char c) { return c >= 0x20 && c != 0x7f && c != '&' && c != '<' && c != '>' && c != '"'; }

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  bool good = is_valid_utf8(text);
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\r') {
      out += "&#13;";
    } else if ((byte < 0x20 && c != '\t' && c != '\n') || (byte >= 0x80 && !good)) {
      out += "\xEF\xBF\xBD";
    } else {
      out += c;
    }
  }
  // The two code points that are well-formed UTF-8 and yet no characters of XML.
  out = replace_all(std::move(out), "\xEF\xBF\xBE", "\xEF\xBF\xBD");
  return replace_all(std::move(out), "\xEF\xBF\xBF", "\xEF\xBF\xBD");
}

}  // namespace

std::string xml_escape(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_plain) ? std::string(text) : escaped(text);
}

void Xml::open(std::string_view name) {
  text_ += '<';
  text_ += name;
  text_ += '>';
}

void Xml::close(std::string_view name) {
  text_ += "</";
  text_ += name;
  text_ += '>';
}

void Xml::put(std::string_view name, std::string_view text) {
  open(name);
  if (std::all_of(text.begin(), text.end(), is_plain)) {
    text_ += text;
  } else {
    text_ += escaped(text);
  }
  close(name);
}

}  // namespace kiln::ec2
