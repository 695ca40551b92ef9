#include "base/redact.h"

#include <algorithm>

#include "base/text.h"

namespace kiln {

static std::string url_encoded(std::string_view text) {
  static const char* hex = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                 c == '.' || c == '~';
    if (plain) {
      out += static_cast<char>(c);
    } else {
      out += '%';
      out += hex[c >> 4];
      out += hex[c & 15];
    }
  }
  return out;
}

static std::string json_escaped(std::string_view text) {
  std::string quoted = go_quote(text);
  return quoted.substr(1, quoted.size() - 2);
}

void Redactor::add(std::string_view secret) {
  std::vector<std::string> forms;
  auto add_form = [&](std::string form) {
    if (!form.empty() && std::find(forms.begin(), forms.end(), form) == forms.end()) forms.push_back(std::move(form));
  };
  add_form(std::string(secret));
  if (contains(secret, "\n")) {
    add_form(replace_all(std::string(secret), "\r\n", "\n"));
    for (auto& line : split(replace_all(std::string(secret), "\r\n", "\n"), '\n')) add_form(line);
  }
  // Short secrets would turn these derived forms into noise that masks ordinary text.
  if (secret.size() >= 4) {
    add_form(json_escaped(secret));
    add_form(replace_all(std::string(secret), "'", "'\"'\"'"));
    add_form(url_encoded(secret));
    add_form(base64_encode(secret));
  }
  forms_.with([&](auto& all) {
    for (auto& form : forms) {
      if (std::find(all.begin(), all.end(), form) == all.end()) all.push_back(form);
    }
    std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.size() > b.size(); });
  });
}

std::string Redactor::redact(std::string text) const {
  return forms_.with([&](const auto& all) {
    for (const auto& form : all) text = replace_all(std::move(text), form, "<sensitive>");
    return std::move(text);
  });
}

}  // namespace kiln
