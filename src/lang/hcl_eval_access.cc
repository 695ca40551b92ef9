// Variables, attributes and indexes.
#include <fmt/format.h>

#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_evaluator.h"

namespace kiln {
namespace {

const std::string no_such_element = "The given key does not identify an element in this collection value";

HclValue dynamic_unknown(bool sensitive = false) {
  return hcl_marked(HclValue::unknown(HclType::dynamic()), sensitive);
}

std::vector<std::string> names_of(const HclType& object) {
  std::vector<std::string> names;
  for (const auto& [name, type] : object.attributes()) names.push_back(name);
  return names;
}

template <class Map>
std::vector<std::string> keys_of(const Map& members) {
  std::vector<std::string> names;
  names.reserve(members.size());
  for (const auto& [name, member] : members) names.push_back(name);
  return names;
}

HclValue step_key(const HclStep& step) {
  if (step.key().is_string()) return HclValue::string(step.key().as_string());
  if (step.key().kind() == Value::Kind::number) {
    if (auto number = HclNumber::parse(step.key().as_number().text)) return HclValue::number(*number);
  }
  return HclValue();
}

/// Where "[key]" of an index expression stands.
SourceRange bracket_range(const HclExpression& e) {
  SourceRange range = e.range;
  size_t end_of_base = e.items[0]->range.end;
  if (!range.known() || end_of_base < range.begin || end_of_base >= range.end) return range;
  size_t open = range.file->text.find('[', end_of_base);
  if (open < range.end) range.begin = open;
  return range;
}

/// Why something that has no attributes has none.
std::string no_attributes(const HclType& type, const std::string& name) {
  if (type.is(HclType::Kind::list) && type.element().is(HclType::Kind::object)) {
    if (type.element().attributes().count(name) > 0) {
      return fmt::format(
          "Can't access attributes on a list of objects. Did you mean to access attribute {} for a specific element of "
          "the list, or across all elements of the list?",
          go_quote(name));
    }
    return "Can't access attributes on a list of objects. Did you mean to access an attribute for a specific element "
           "of "
           "the list, or across all elements of the list?";
  }
  if (type.is(HclType::Kind::set) && type.element().is(HclType::Kind::object)) {
    return "Can't access attributes on a set of objects. Did you mean to access an attribute across all elements of "
           "the "
           "set?";
  }
  if (type.is_primitive()) {
    return fmt::format("Can't access attributes on a primitive-typed value ({}).", type.friendly_name());
  }
  return "This value does not have any attributes.";
}

}  // namespace

HclValue HclEvaluator::scope_value(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  bool any = false;
  for (const HclScope* at = &scope; at; at = at->parent) {
    any = any || !at->variables.empty() || !at->namespaces.empty();
    if (auto it = at->variables.find(e.name); it != at->variables.end()) {
      return take_steps(it->second, e, 0, scope, diagnostics);
    }
    if (auto it = at->namespaces.find(e.name); it != at->namespaces.end()) {
      return namespace_value(e, *it->second, scope, diagnostics);
    }
  }
  if (!any) {
    fail(diagnostics, "Variables not allowed", "Variables may not be used here.", {e.name_range(), e, scope});
    return dynamic_unknown();
  }
  std::vector<std::string> names;
  for (const HclScope* at = &scope; at; at = at->parent) {
    for (const auto& [name, value] : at->variables) names.push_back(name);
    for (const auto& [name, members] : at->namespaces) names.push_back(name);
  }
  std::string suggestion = hcl_suggestion(e.name, names);
  fail(diagnostics, "Unknown variable",
       fmt::format("There is no variable named {}.{}", go_quote(e.name), suggestion), {e.name_range(), e, scope},
       suggestion.empty() ? hcl_name_hint(e.name, names) : "");
  return dynamic_unknown();
}

HclValue HclEvaluator::namespace_value(const HclExpression& e, const std::map<std::string, HclValue>& members,
                                       const HclScope& scope, Diagnostics& diagnostics) {
  if (!e.steps.empty()) {
    const HclStep& step = e.steps[0];
    bool by_name = step.kind == HclStep::Kind::attribute;
    if (by_name || step.key().is_string()) {
      std::string name = hcl_normalize(by_name ? step.name : step.key().as_string());
      auto it = members.find(name);
      if (it != members.end()) return take_steps(it->second, e, 1, scope, diagnostics);
      fail(diagnostics, by_name ? "Unsupported attribute" : "Invalid index",
           by_name ? fmt::format("This object does not have an attribute named {}.", go_quote(name))
                   : no_such_element + ".",
           {step.range, e, scope}, hcl_name_hint(name, keys_of(members)));
      return dynamic_unknown();
    }
  }
  if (!spend(e, members.size(), 64 * members.size())) return dynamic_unknown();
  return take_steps(kept(e, HclValue::object(members)), e, 0, scope, diagnostics);
}

HclValue HclEvaluator::traversal(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  return take_steps(value(*e.items[0], scope, diagnostics), e, 0, scope, diagnostics);
}

HclValue HclEvaluator::index(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  HclValue collection = value(*e.items[0], scope, diagnostics);
  HclValue key = value(*e.items[1], scope, diagnostics);
  take_index(collection, key, {bracket_range(e), e, scope}, diagnostics);
  return collection;
}

HclValue HclEvaluator::take_steps(HclValue value, const HclExpression& e, size_t first, const HclScope& scope,
                                  Diagnostics& diagnostics) {
  for (size_t i = first; i < e.steps.size(); ++i) {
    const HclStep& step = e.steps[i];
    HclFault at{step.range, e, scope};
    bool ok = step.kind == HclStep::Kind::attribute ? take_attribute(value, hcl_normalize(step.name), at, diagnostics)
                                                    : take_index(value, step_key(step), at, diagnostics);
    if (!ok) break;
  }
  return value;
}

bool HclEvaluator::take_attribute(HclValue& value, const std::string& name, const HclFault& at,
                                  Diagnostics& diagnostics) {
  HclValue from = std::exchange(value, dynamic_unknown(value.sensitive()));
  if (from.is_null()) {
    fail(diagnostics, "Attempt to get attribute from null value",
         "This value is null, so it does not have any attributes.", at);
    return false;
  }
  const HclType& type = from.type();
  if (type.is_dynamic()) return true;
  if (type.is(HclType::Kind::object)) {
    auto it = type.attributes().find(name);
    if (it == type.attributes().end()) {
      fail(diagnostics, "Unsupported attribute",
           fmt::format("This object does not have an attribute named {}.", go_quote(name)), at,
           hcl_name_hint(name, names_of(type)));
      return false;
    }
    value = hcl_marked(from.is_known() ? *from.find(name) : HclValue::unknown(it->second), from.sensitive());
    return true;
  }
  if (type.is(HclType::Kind::map)) {
    const HclValue* found = from.is_known() ? from.find(name) : nullptr;
    if (from.is_known() && !found) {
      fail(diagnostics, "Missing map element",
           fmt::format("This map does not have an element with the key {}.", go_quote(name)), at,
           from.sensitive() ? "" : hcl_name_hint(name, keys_of(from.members())));
      return false;
    }
    value = hcl_marked(found ? *found : HclValue::unknown(type.element()), from.sensitive());
    return true;
  }
  fail(diagnostics, "Unsupported attribute", no_attributes(type, name), at);
  return false;
}

bool HclEvaluator::take_index(HclValue& value, const HclValue& key, const HclFault& at,
                              Diagnostics& diagnostics) {
  auto refuse = [&](std::string summary, std::string detail) {
    value = dynamic_unknown(value.sensitive() || key.sensitive());
    fail(diagnostics, std::move(summary), std::move(detail), at);
    return false;
  };
  if (value.is_null()) {
    return refuse("Attempt to index null value", "This value is null, so it does not have any indices.");
  }
  if (key.is_null()) return refuse("Invalid index", "Can't use a null value as an indexing key.");
  const HclType type = value.type();
  if (key.type().is_dynamic() || type.is_dynamic()) {
    value = dynamic_unknown(value.sensitive() || key.sensitive());
    return true;
  }
  if (type.is(HclType::Kind::set)) {
    return refuse("Invalid index",
                  "Elements of a set are identified only by their value and don't have any separate index or key to "
                  "select with, so it's only possible to perform operations across all elements of the set.");
  }
  bool sequence = type.is(HclType::Kind::list) || type.is(HclType::Kind::tuple);
  if (!sequence && !type.is_keyed()) return refuse("Invalid index", "This value does not have any indices.");
  std::string error;
  auto converted = hcl_convert(key, sequence ? HclType::number() : HclType::string(), &error);
  if (!converted) return refuse("Invalid index", fmt::format("{}: {}.", no_such_element, error));
  if (sequence) return take_item(value, *converted, at, diagnostics);
  if (type.is(HclType::Kind::map)) return take_map_member(value, *converted, at, diagnostics);
  return take_object_member(value, *converted, key.type().is(HclType::Kind::number), at, diagnostics);
}

/// Of a list or tuple, by a number.
bool HclEvaluator::take_item(HclValue& value, const HclValue& key, const HclFault& at,
                             Diagnostics& diagnostics) {
  HclValue from = value;
  const HclType& type = from.type();
  bool is_tuple = type.is(HclType::Kind::tuple);
  bool sensitive = from.sensitive() || key.sensitive();
  if (!key.is_known() || (!is_tuple && !from.is_known())) {
    value = hcl_marked(HclValue::unknown(is_tuple ? HclType::dynamic() : type.element()), sensitive);
    return true;
  }
  size_t size = is_tuple ? type.elements().size() : from.length();
  const HclNumber& number = key.as_number();
  auto position = number.to_int64();
  if (position && *position >= 0 && static_cast<uint64_t>(*position) < size) {
    size_t i = static_cast<size_t>(*position);
    value = hcl_marked(from.is_known() ? from.items()[i] : HclValue::unknown(type.elements()[i]), sensitive);
    return true;
  }
  value = dynamic_unknown(sensitive);
  std::string why;
  std::string hint;
  if (!number.is_integer()) {
    why = ": indexing a sequence requires a whole number, but the given index has a fractional part";
  } else if (number.sign() < 0) {
    why = ": a negative number is not a valid index for a sequence";
  } else if (!from.sensitive()) {
    // The longer text is given only where the index is the very next one.
    bool next = position && static_cast<uint64_t>(*position) == size;
    if (next && size == 0) why = ": the collection has no elements";
    else if (next) why = ": the given index is greater than or equal to the length of the collection";
    if (size > 0) hint = size == 1 ? "The only index is 0." : fmt::format("The indexes are 0 to {}.", size - 1);
  }
  fail(diagnostics, "Invalid index", no_such_element + why + ".", at, hint);
  return false;
}

bool HclEvaluator::take_map_member(HclValue& value, const HclValue& key, const HclFault& at,
                                   Diagnostics& diagnostics) {
  HclValue from = value;
  bool sensitive = from.sensitive() || key.sensitive();
  bool known = from.is_known() && key.is_known();
  const HclValue* found = known ? from.find(key.as_string()) : nullptr;
  if (found || !known) {
    value = hcl_marked(found ? *found : HclValue::unknown(from.type().element()), sensitive);
    return true;
  }
  value = dynamic_unknown(sensitive);
  fail(diagnostics, "Invalid index", no_such_element + ".", at,
       sensitive ? "" : hcl_name_hint(key.as_string(), keys_of(from.members())));
  return false;
}

bool HclEvaluator::take_object_member(HclValue& value, const HclValue& key, bool was_number,
                                      const HclFault& at, Diagnostics& diagnostics) {
  HclValue from = value;
  bool sensitive = from.sensitive() || key.sensitive();
  value = dynamic_unknown(sensitive);
  if (!key.is_known()) return true;
  const auto& attributes = from.type().attributes();
  auto it = attributes.find(key.as_string());
  if (it == attributes.end()) {
    const char* note =
        was_number ? " An object only supports looking up attributes by name, not by numeric index." : "";
    fail(diagnostics, "Invalid index", no_such_element + "." + note, at,
         sensitive ? "" : hcl_name_hint(key.as_string(), names_of(from.type())));
    return false;
  }
  value = hcl_marked(from.is_known() ? *from.find(it->first) : HclValue::unknown(it->second), sensitive);
  return true;
}

}  // namespace kiln
