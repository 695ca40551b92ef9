#include "lang/packer_hcl_internal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/text.h"

namespace kiln {

bool is_empty_collection(const HclValue& value) {
  bool collection = value.type().is(HclType::Kind::object) || value.type().is(HclType::Kind::tuple);
  return collection && value.has_content() && value.length() == 0;
}

bool looks_like_sentences(std::string_view text) {
  if (text.empty()) return false;
  auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80 && std::islower(first)) return false;
  char last = text.back();
  return last == '.' || last == '?' || last == '!';
}

bool is_bucket_name(std::string_view text) {
  return text.size() >= 3 && text.size() <= 36 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) || c == '-');
  });
}

}  // namespace kiln
