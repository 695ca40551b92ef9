#include "lang/hcl_convert.h"

#include <algorithm>

#include "base/text.h"
#include "lang/hcl_conversion.h"

namespace kiln {

namespace {


/// Converts values after the rules between their types have said that it can be done; what depends on the values may
/// fail yet.
class ValueConverter {
 public:
  explicit ValueConverter(HclConversions& rules) : rules_(rules) {}

  /// Equal types are passed through.
  std::optional<HclValue> convert(const HclValue& value, const HclType& type, bool unsafe);
  const std::string& error() const { return error_; }

 private:
  std::optional<HclValue> convert_content(const HclValue& value, const HclType& type, bool unsafe);
  std::optional<HclValue> convert_primitive(const HclValue& value, const HclType& type);
  std::optional<HclValue> to_sequence(const HclValue& value, const HclType& type, bool unsafe);
  std::optional<HclValue> to_map(const HclValue& value, const HclType& type, bool unsafe);
  std::optional<HclValue> to_tuple(const HclValue& value, const HclType& type, bool unsafe);
  std::optional<HclValue> to_object(const HclValue& value, const HclType& type, bool unsafe);
  bool unify_items(const std::vector<HclValue*>& items, bool unsafe);

  std::nullopt_t fail(std::string error) {
    error_ = std::move(error);
    return std::nullopt;
  }

  HclConversions& rules_;
  std::string error_;
};

/// What the elements of a collection are to become: "any" is what all of them have in common.
HclType wanted_element(HclConversions& rules, const HclType& from, const HclType& to, bool unsafe) {
  bool structure = from.is(HclKind::tuple) || from.is(HclKind::object);
  if (!structure || !to.element().is_dynamic()) return to.element();
  return rules.unify(hcl_part_types(from), unsafe).value_or(HclType::dynamic());
}

/// The type of the first that has one; nullopt when they differ.
std::optional<HclType> common_type(const std::vector<HclValue*>& items) {
  HclType out;
  for (const HclValue* item : items) {
    if (item->type().is_dynamic()) continue;
    if (out.is_dynamic()) {
      out = item->type();
    } else if (!(out == item->type())) {
      return std::nullopt;
    }
  }
  return out;
}

/// An empty collection of "any" keeps the element's type that it has.
HclType empty_element(const HclType& from, const HclType& to) {
  if (to.element().is_dynamic() && from.is_collection()) return from.element();
  return to.element().without_optional();
}

std::optional<HclValue> ValueConverter::convert(const HclValue& value, const HclType& type, bool unsafe) {
  if (type.is_dynamic() || value.type() == type) return value;
  if (!value.has_content()) {
    HclType known = rules_.without_dynamic(value.type(), type.without_optional());
    HclValue out = value.is_null() ? HclValue::null(std::move(known)) : HclValue::unknown(std::move(known));
    return out.with_sensitive(value.sensitive());
  }
  auto out = convert_content(value, type, unsafe);
  if (out && value.sensitive()) out = out->with_sensitive();
  return out;
}

std::optional<HclValue> ValueConverter::convert_content(const HclValue& value, const HclType& type, bool unsafe) {
  switch (type.kind()) {
    case HclKind::list:
    case HclKind::set: return to_sequence(value, type, unsafe);
    case HclKind::map: return to_map(value, type, unsafe);
    case HclKind::tuple: return to_tuple(value, type, unsafe);
    case HclKind::object: return to_object(value, type, unsafe);
    default: return convert_primitive(value, type);
  }
}

std::optional<HclValue> ValueConverter::convert_primitive(const HclValue& value, const HclType& type) {
  if (type.is(HclKind::string)) {
    if (value.type().is(HclKind::boolean)) return HclValue::string(value.as_boolean() ? "true" : "false");
    return HclValue::string(value.as_number().text());
  }
  const std::string& text = value.as_string();
  if (type.is(HclKind::number)) {
    auto number = HclNumber::parse(text);
    if (!number) return fail("a number is required");
    return HclValue::number(std::move(*number));
  }
  if (text == "true" || text == "1") return HclValue::boolean(true);
  if (text == "false" || text == "0") return HclValue::boolean(false);
  std::string small = lower(text);
  if (small != "true" && small != "false") return fail("a bool is required");
  return fail("a bool is required; to convert from string, use lowercase \"" + small + "\"");
}

/// Brings converted items to one type. Converting to a type with "any" inside may have left them with several.
bool ValueConverter::unify_items(const std::vector<HclValue*>& items, bool unsafe) {
  std::vector<HclType> types;
  types.reserve(items.size());
  for (const HclValue* item : items) types.push_back(item->type());
  auto unified = rules_.unify(types, unsafe);
  if (!unified) {
    fail("cannot find a common base type for all elements");
    return false;
  }
  for (HclValue* item : items) {
    auto converted = convert(*item, *unified, unsafe);
    if (!converted) return false;
    *item = std::move(*converted);
  }
  return true;
}

std::optional<HclValue> ValueConverter::to_sequence(const HclValue& value, const HclType& type, bool unsafe) {
  bool list = type.is(HclKind::list);
  HclType wanted = wanted_element(rules_, value.type(), type, unsafe);
  HclValue::Items items;
  items.reserve(value.items().size());
  for (const auto& item : value.items()) {
    auto converted = convert(item, wanted, unsafe);
    if (!converted) return std::nullopt;
    items.push_back(std::move(*converted));
  }
  if (items.empty()) {
    HclType element = empty_element(value.type(), type);
    return list ? HclValue::list(std::move(element), {}) : HclValue::set(std::move(element), {});
  }
  std::vector<HclValue*> places;
  for (auto& item : items) places.push_back(&item);
  if (list && value.type().is(HclKind::tuple) && !common_type(places) && !unify_items(places, unsafe))
    return std::nullopt;
  auto element = common_type(places);
  if (!element) return fail(std::string("element types must all match for conversion to ") + (list ? "list" : "set"));
  return list ? HclValue::list(*element, std::move(items)) : HclValue::set(*element, std::move(items));
}

std::optional<HclValue> ValueConverter::to_map(const HclValue& value, const HclType& type, bool unsafe) {
  bool object = value.type().is(HclKind::object);
  HclType wanted = wanted_element(rules_, value.type(), type, unsafe);
  HclValue::Members members;
  std::vector<HclValue*> places;
  for (const auto& [name, member] : value.members()) {
    auto converted = convert(member, wanted, unsafe);
    if (!converted) return std::nullopt;
    auto placed = members.emplace_hint(members.end(), name, std::move(*converted));
    places.push_back(&placed->second);
  }
  if (members.empty()) return HclValue::map(empty_element(value.type(), type), {});
  bool compound = wanted.is_collection() || wanted.is(HclKind::object);
  if (compound && !common_type(places) && !unify_items(places, object && unsafe)) return std::nullopt;
  auto element = common_type(places);
  if (!element) {
    return fail(std::string(object ? "attribute" : "element") + " types must all match for conversion to map");
  }
  return HclValue::map(*element, std::move(members));
}

std::optional<HclValue> ValueConverter::to_tuple(const HclValue& value, const HclType& type, bool unsafe) {
  HclValue::Items items;
  items.reserve(value.items().size());
  for (size_t i = 0; i < value.items().size(); ++i) {
    auto converted = convert(value.items()[i], type.elements()[i], unsafe);
    if (!converted) return std::nullopt;
    items.push_back(std::move(*converted));
  }
  return HclValue::tuple(std::move(items));
}

std::optional<HclValue> ValueConverter::to_object(const HclValue& value, const HclType& type, bool unsafe) {
  HclValue::Members members;
  bool map = value.type().is(HclKind::map);
  for (const auto& [name, wanted] : type.attributes()) {
    const HclValue* found = value.find(name);
    if (!found) {
      if (!type.optional().contains(name)) {
        return fail("map has no element for required attribute " + go_quote(name));
      }
      members.emplace_hint(members.end(), name, HclValue::null(wanted.without_optional()));
      continue;
    }
    if (map && !rules_.equal_or_possible(found->type(), wanted, unsafe)) {
      return fail("map element type is incompatible with attribute " + go_quote(name) + ": " +
                  rules_.mismatch(found->type(), wanted));
    }
    auto converted = convert(*found, wanted, unsafe);
    if (!converted) return std::nullopt;
    members.emplace_hint(members.end(), name, std::move(*converted));
  }
  return HclValue::object(std::move(members));
}

}  // namespace

std::optional<HclValue> hcl_convert(const HclValue& value, const HclType& type, std::string* error) {
  if (type.is_dynamic() || value.type() == type.without_optional()) return value;
  HclConversions rules;
  if (!rules.possible(value.type(), type, true)) {
    if (error) *error = rules.mismatch(value.type(), type);
    return std::nullopt;
  }
  ValueConverter converter(rules);
  auto out = converter.convert(value, type, true);
  if (!out && error) *error = converter.error();
  return out;
}

}  // namespace kiln
