#include "endpoint/request_params.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "endpoint/api_error.h"
#include "wire/aws_signature.h"

namespace kiln::ec2 {

namespace {

constexpr size_t most_params = 20000;
constexpr size_t longest_name = 512;
constexpr size_t deepest_name = 16;

std::string form_decode(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return aws_uri_decode(spaced);
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

}  // namespace

Params Params::parse(std::string_view form) {
  Params root;
  size_t count = 0;
  for (const auto& pair : split(form, '&')) {
    if (pair.empty()) continue;
    if (++count > most_params) throw ApiError("MalformedQueryString", "The request has too many parameters.");
    size_t equals = pair.find('=');
    std::string name = form_decode(std::string_view(pair).substr(0, equals));
    std::string value =
        equals == std::string::npos ? "" : form_decode(std::string_view(pair).substr(equals + 1));
    if (!is_valid_utf8(name) || !is_valid_utf8(value)) {
      throw ApiError("MalformedQueryString", "The parameter " + go_quote(name) + " is not UTF-8.");
    }
    root.set(name, std::move(value));
  }
  return root;
}

void Params::set(std::string_view name, std::string value) {
  if (value.empty()) return;
  if (name.empty() || name.size() > longest_name)
    throw ApiError("MalformedQueryString", "A parameter's name is too long.");
  auto parts = split(name, '.');
  if (parts.size() > deepest_name)
    throw ApiError("MalformedQueryString", "A parameter's name has too many parts.");
  Params* at = this;
  for (const auto& part : parts) {
    if (part.empty()) throw ApiError("MalformedQueryString", "A part of a parameter's name is empty.");
    at = &at->members_[part];
  }
  at->value_ = std::move(value);
}

const Params* Params::find(std::string_view name) const {
  const Params* at = this;
  for (const auto& part : split(name, '.')) {
    auto found = at->members_.find(part);
    if (found == at->members_.end()) return nullptr;
    at = &found->second;
  }
  return at;
}

std::string Params::text(std::string_view name) const {
  const Params* found = find(name);
  return found ? found->value_ : "";
}

std::string Params::required(std::string_view name) const {
  std::string out = text(name);
  if (out.empty()) throw missing_parameter(std::string(name));
  return out;
}

std::optional<bool> Params::boolean(std::string_view name) const {
  std::string word = text(name);
  if (word.empty()) return std::nullopt;
  if (lower(word) == "true" || word == "1") return true;
  if (lower(word) == "false" || word == "0") return false;
  throw invalid_value(std::string(name), word);
}

std::optional<int64_t> Params::number(std::string_view name) const {
  std::string word = text(name);
  if (word.empty()) return std::nullopt;
  auto out = whole_number(word);
  if (!out) throw invalid_value(std::string(name), word);
  return out;
}

std::vector<const Params*> Params::items(std::string_view name) const {
  const Params* parent = find(name);
  if (!parent) return {};
  std::vector<std::pair<int64_t, const Params*>> numbered;
  for (const auto& [key, item] : parent->members_) {
    // SDKs of IAM and STS write "Name.member.1".
    if (key == "member") return parent->items("member");
    if (auto number = whole_number(key)) numbered.emplace_back(*number, &item);
  }
  std::stable_sort(numbered.begin(), numbered.end(), [](auto& a, auto& b) { return a.first < b.first; });
  std::vector<const Params*> out;
  for (const auto& [number, item] : numbered) out.push_back(item);
  return out;
}

std::vector<std::string> Params::list(std::string_view name) const {
  std::vector<std::string> out;
  for (const Params* item : items(name)) {
    if (!item->value_.empty()) out.push_back(item->value_);
  }
  return out;
}

std::string Params::form(const std::string& prefix) const {
  std::string out = value_.empty() ? "" : aws_uri_encode(prefix) + "=" + aws_uri_encode(value_);
  for (const auto& [name, member] : members_) {
    std::string part = member.form(prefix.empty() ? name : prefix + "." + name);
    if (!out.empty() && !part.empty()) out += '&';
    out += part;
  }
  return out;
}

void Params::merge(const Params& over) {
  if (!over.value_.empty()) value_ = over.value_;
  for (const auto& [name, member] : over.members_) members_[name].merge(member);
}

}  // namespace kiln::ec2
