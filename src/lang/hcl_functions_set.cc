// setunion setintersection setproduct. Source: go-cty's documentation of its standard library.
#include <fmt/format.h>

#include <unordered_set>

#include "lang/hcl_convert.h"
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

HclType common_set_type(const Arguments& arguments) {
  std::vector<HclType> types;
  for (const auto& argument : arguments) {
    const HclType& type = argument.type().element();
    if (argument.is_known() && argument.length() == 0 && type.is_dynamic()) continue;
    types.push_back(type);
  }
  if (types.empty()) return HclType::set(HclType::dynamic());
  auto type = hcl_unify(types, true);
  if (!type) fail("given sets must all have compatible element types");
  return HclType::set(*type);
}

HclValue set_argument(const Arguments& arguments, size_t i, const HclType& type) {
  std::string error;
  auto converted = hcl_convert(arguments[i], type, &error);
  if (!converted) fail(error, static_cast<int>(i));
  return *converted;
}

HclValue set_union(const Arguments& arguments, const HclType& result, const HclHost&) {
  HclValue::Items items;
  for (size_t i = 0; i < arguments.size(); ++i) {
    HclValue set = set_argument(arguments, i, result);
    if (!set.is_known()) return HclValue::unknown(result);
    check_items(items.size() + set.length());
    items.insert(items.end(), set.items().begin(), set.items().end());
  }
  return HclValue::set(result.element(), std::move(items));
}

HclValue set_intersection(const Arguments& arguments, const HclType& result, const HclHost&) {
  HclValue::Items kept;
  for (size_t i = 0; i < arguments.size(); ++i) {
    HclValue set = set_argument(arguments, i, result);
    if (!set.is_wholly_known()) return HclValue::unknown(result);
    if (i == 0) {
      kept = set.items();
      continue;
    }
    std::unordered_set<std::string> others;
    for (const auto& item : set.items()) others.insert(identity(item));
    std::erase_if(kept, [&](const HclValue& item) { return !others.contains(identity(item)); });
  }
  return HclValue::set(result.element(), std::move(kept));
}

HclType product_type(const Arguments& arguments) {
  using Kind = HclType::Kind;
  if (arguments.size() < 2) fail("at least two arguments are required");
  std::vector<HclType> types;
  bool ordered = true;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const HclType& type = arguments[i].type();
    if (!type.is_sequence()) fail("a set or a list is required", static_cast<int>(i));
    ordered = ordered && !type.is(Kind::set);
    if (!type.is(Kind::tuple)) {
      types.push_back(type.element());
      continue;
    }
    auto element = type.elements().empty() ? HclType::dynamic() : hcl_unify(type.elements(), true);
    if (!element) fail("all elements must be of the same type", static_cast<int>(i));
    types.push_back(*element);
  }
  HclType tuple = HclType::tuple(std::move(types));
  return ordered ? HclType::list(tuple) : HclType::set(tuple);
}

HclValue product(const Arguments& arguments, const HclType& result, const HclHost&) {
  const auto& types = result.element().elements();
  bool sensitive = false, known = true;
  size_t total = 1;
  for (const auto& argument : arguments) {
    sensitive = sensitive || argument.sensitive();
    if (!argument.is_known())
      known = false;
    else
      total *= argument.length();
    check_items(total);
  }
  check_items(total * arguments.size());
  if (!known) return HclValue::unknown(result).with_sensitive(sensitive);
  std::vector<HclValue::Items> sets(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    for (const auto& item : arguments[i].items()) {
      auto converted = hcl_convert(item, types[i]);
      if (!converted) fail("all elements must be of the same type", static_cast<int>(i));
      sets[i].push_back(*converted);
    }
  }
  HclValue::Items items;
  items.reserve(total);
  for (size_t n = 0; n < total; ++n) {
    HclValue::Items row(sets.size());
    size_t rest = n;
    for (size_t i = sets.size(); i-- > 0; rest /= sets[i].size()) row[i] = sets[i][rest % sets[i].size()];
    items.push_back(HclValue::tuple(std::move(row)));
  }
  HclValue out = result.is(HclType::Kind::list) ? HclValue::list(result.element(), std::move(items))
                                                : HclValue::set(result.element(), std::move(items));
  return out.with_sensitive(sensitive);
}

void identity_into(const HclValue& value, std::string& out) {
  if (!value.is_known()) {
    out += 'u';
  } else if (value.is_null()) {
    out += 'n';
  } else if (value.type().is(HclType::Kind::boolean)) {
    out += value.as_boolean() ? 't' : 'f';
  } else if (value.type().is(HclType::Kind::number)) {
    out += fmt::format("#{};", value.as_number().text());
  } else if (value.type().is(HclType::Kind::string)) {
    out += fmt::format("s{}:{}", value.as_string().size(), value.as_string());
  } else if (value.type().is_sequence()) {
    out += fmt::format("[{}:", value.length());
    for (const auto& item : value.items()) identity_into(item, out);
  } else {
    out += fmt::format("{{{}:", value.length());
    for (const auto& member : value.members()) {
      out += fmt::format("{}:{}", member.first.size(), member.first);
      identity_into(member.second, out);
    }
  }
}

}  // namespace

std::string identity(const HclValue& value) {
  std::string out;
  identity_into(value, out);
  return out;
}

void add_set(HclFunctionTable& table) {
  HclType any_set = HclType::set(HclType::dynamic());
  table["setunion"] = function("Returns all elements that are in any of the sets.",
                               {parameter("first_set", any_set, takes_dynamic)},
                               parameter("other_sets", any_set, takes_dynamic), common_set_type, set_union);
  table["setintersection"] = function(
      "Returns the elements that are in all of the sets.", {parameter("first_set", any_set, takes_dynamic)},
      parameter("other_sets", any_set, takes_dynamic), common_set_type, set_intersection);
  table["setproduct"] = function("Returns all combinations of one element of each set or list.", {},
                                 any("sets", takes_marked | takes_unknown), product_type, product);
}

}  // namespace kiln::hcl_fn
