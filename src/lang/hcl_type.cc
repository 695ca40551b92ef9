#include "lang/hcl_type.h"

#include <algorithm>
#include <cctype>
#include <limits>

#include "base/error.h"
#include "base/text.h"

namespace kiln {

namespace {
constexpr int max_type_depth = 500;
}

/// What a type is made of; has_dynamic and has_optional are worked out once, so that asking costs nothing.
struct HclType::Parts {
  HclType element;
  std::vector<HclType> elements;
  Attributes attributes;
  std::set<std::string> optional;
  bool has_dynamic = false;
  bool has_optional = false;
  uint64_t weight = 1;
  int depth = 1;

  void note(const HclType& part) {
    if (part.parts_) depth = std::max(depth, part.parts_->depth + 1);
    if (depth > max_type_depth || __builtin_add_overflow(weight, part.weight(), &weight)) {
      weight = std::numeric_limits<uint64_t>::max();
    }
    has_dynamic |= part.has_dynamic();
    has_optional |= part.parts_ && part.parts_->has_optional;
  }
};

HclType HclType::list(HclType element) {
  auto parts = std::make_shared<Parts>();
  parts->note(element);
  parts->element = std::move(element);
  return {Kind::list, std::move(parts)};
}

HclType HclType::set(HclType element) {
  HclType out = list(std::move(element));
  out.kind_ = Kind::set;
  return out;
}

HclType HclType::map(HclType element) {
  HclType out = list(std::move(element));
  out.kind_ = Kind::map;
  return out;
}

HclType HclType::tuple(std::vector<HclType> elements) {
  auto parts = std::make_shared<Parts>();
  for (const auto& element : elements) parts->note(element);
  parts->elements = std::move(elements);
  return {Kind::tuple, std::move(parts)};
}

HclType HclType::object(Attributes attributes, std::set<std::string> optional) {
  auto parts = std::make_shared<Parts>();
  for (const auto& [name, type] : attributes) parts->note(type);
  parts->attributes = std::move(attributes);
  parts->has_optional |= !optional.empty();
  parts->optional = std::move(optional);
  return {Kind::object, std::move(parts)};
}

const HclType& HclType::element() const {
  KILN_CHECK(is_collection());
  return parts_->element;
}

const std::vector<HclType>& HclType::elements() const {
  KILN_CHECK(is(Kind::tuple));
  return parts_->elements;
}

const HclType::Attributes& HclType::attributes() const {
  KILN_CHECK(is(Kind::object));
  return parts_->attributes;
}

const std::set<std::string>& HclType::optional() const {
  KILN_CHECK(is(Kind::object));
  return parts_->optional;
}

bool HclType::has_dynamic() const { return is_dynamic() || (parts_ && parts_->has_dynamic); }

uint64_t HclType::weight() const { return parts_ ? parts_->weight : 1; }

HclType HclType::without_optional() const {
  if (!parts_ || !parts_->has_optional) return *this;
  auto parts = std::make_shared<Parts>();
  parts->has_dynamic = parts_->has_dynamic;
  parts->weight = parts_->weight;
  parts->depth = parts_->depth;
  parts->element = parts_->element.without_optional();
  for (const auto& element : parts_->elements) parts->elements.push_back(element.without_optional());
  for (const auto& [name, type] : parts_->attributes) parts->attributes.emplace(name, type.without_optional());
  return {kind_, std::move(parts)};
}

bool HclType::operator==(const HclType& other) const {
  if (kind_ != other.kind_) return false;
  if (parts_ == other.parts_) return true;
  switch (kind_) {
    case Kind::list:
    case Kind::set:
    case Kind::map: return parts_->element == other.parts_->element;
    case Kind::tuple: return parts_->elements == other.parts_->elements;
    case Kind::object:
      return parts_->attributes == other.parts_->attributes && parts_->optional == other.parts_->optional;
    default: return true;
  }
}

std::string HclType::friendly_name() const {
  switch (kind_) {
    case Kind::dynamic: return "dynamic";
    case Kind::boolean: return "bool";
    case Kind::number: return "number";
    case Kind::string: return "string";
    case Kind::list: return "list of " + parts_->element.friendly_name();
    case Kind::set: return "set of " + parts_->element.friendly_name();
    case Kind::map: return "map of " + parts_->element.friendly_name();
    case Kind::tuple: return "tuple";
    case Kind::object: return "object";
  }
  return {};
}

std::string HclType::friendly_constraint() const {
  if (is_dynamic()) return "any type";
  if (!is_collection()) return friendly_name();
  std::string of = parts_->element.is_dynamic() ? "any single type" : parts_->element.friendly_constraint();
  return std::string(is(Kind::list) ? "list" : is(Kind::set) ? "set" : "map") + " of " + of;
}

namespace {

/// Can the name stand unquoted in an object type? (Letters beyond ASCII are taken as letters of a name.)
bool is_plain_attribute_name(const std::string& name) {
  auto letter = [](unsigned char c) { return std::isalpha(c) || c >= 0x80; };
  if (name.empty() || !letter(static_cast<unsigned char>(name[0]))) return false;
  return std::all_of(name.begin(), name.end(), [&](unsigned char c) {
    return letter(c) || std::isdigit(c) || c == '_' || c == '-';
  });
}

}  // namespace

std::string HclType::text() const {
  switch (kind_) {
    case Kind::dynamic: return "any";
    case Kind::boolean: return "bool";
    case Kind::number: return "number";
    case Kind::string: return "string";
    case Kind::list: return "list(" + parts_->element.text() + ")";
    case Kind::set: return "set(" + parts_->element.text() + ")";
    case Kind::map: return "map(" + parts_->element.text() + ")";
    case Kind::tuple: {
      std::string out = "tuple([";
      for (const auto& element : parts_->elements) {
        if (out.back() != '[') out += ',';
        out += element.text();
      }
      return out + "])";
    }
    case Kind::object: {
      std::string out = "object({";
      for (const auto& [name, type] : parts_->attributes) {
        if (out.back() != '{') out += ',';
        out += (is_plain_attribute_name(name) ? name : go_quote(name)) + "=" + type.text();
      }
      return out + "})";
    }
  }
  return {};
}

}  // namespace kiln
