// Functions on lists, tuples, maps and objects. Source: go-cty's documentation of its standard library,
// Packer's of its functions.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

using Kind = HclType::Kind;

bool is_list_or_tuple(const HclType& type) { return type.is(Kind::list) || type.is(Kind::tuple); }

/// A list (of the announced element type) or a tuple, as `type` says.
HclValue sequence_of(const HclType& type, HclValue::Items items) {
  if (!type.is(Kind::list)) return HclValue::tuple(std::move(items));
  return HclValue::list(type.element(), std::move(items));
}

HclType tuple_type_of(const HclValue::Items& items) {
  std::vector<HclType> types;
  types.reserve(items.size());
  for (const auto& item : items) types.push_back(item.type());
  return HclType::tuple(std::move(types));
}

// --- alltrue, anytrue, sum's siblings ---

HclValue all_true(const Arguments& arguments, const HclType&, const HclHost&) {
  for (const auto& item : arguments[0].items()) {
    if (!item.is_known()) return HclValue::unknown(HclType::boolean());
    if (item.is_null() || !item.as_boolean()) return HclValue::boolean(false);
  }
  return HclValue::boolean(true);
}

HclValue any_true(const Arguments& arguments, const HclType&, const HclHost&) {
  bool unknown = false;
  for (const auto& item : arguments[0].items()) {
    if (!item.is_known())
      unknown = true;
    else if (!item.is_null() && item.as_boolean())
      return HclValue::boolean(true);
  }
  return unknown ? HclValue::unknown(HclType::boolean()) : HclValue::boolean(false);
}

// --- chunklist ---

HclValue chunk_list(const Arguments& arguments, const HclType& result, const HclHost&) {
  const HclValue& list = arguments[0];
  bool sensitive = list.sensitive() || arguments[1].sensitive();
  int64_t size = whole_number(arguments[1], "invalid size: ");
  if (size < 0) fail("the size argument must be positive");
  const HclType& chunk_type = list.type();
  HclValue::Items chunks;
  const auto& items = list.items();
  if (size == 0 && !items.empty()) chunks.push_back(list.with_sensitive(false));
  for (size_t at = 0; size > 0 && at < items.size();) {
    size_t count = std::min(items.size() - at, static_cast<size_t>(size));
    auto from = items.begin() + static_cast<std::ptrdiff_t>(at);
    chunks.push_back(HclValue::list(chunk_type.element(), {from, from + static_cast<std::ptrdiff_t>(count)}));
    at += count;
  }
  return HclValue::list(result.element(), std::move(chunks)).with_sensitive(sensitive);
}

// --- coalesce, coalescelist ---

HclType coalesce_type(const Arguments& arguments) {
  std::vector<HclType> types;
  for (const auto& argument : arguments) types.push_back(argument.type());
  auto type = types.empty() ? std::nullopt : hcl_unify(types, true);
  if (!type) fail("all arguments must have the same type");
  return *type;
}

HclValue coalesce(const Arguments& arguments, const HclType& result, const HclHost&) {
  for (const auto& argument : arguments) {
    auto value = hcl_convert(argument, result);
    if (!value) continue;
    if (!value->is_known()) return HclValue::unknown(result);
    if (value->is_null()) continue;
    if (result.is(Kind::string) && value->as_string().empty()) continue;
    return *value;
  }
  fail("no non-null, non-empty-string arguments");
}

HclType coalesce_list_type(const Arguments& arguments) {
  if (arguments.empty()) fail("at least one argument is required");
  bool same = true;
  for (const auto& argument : arguments) {
    if (!argument.is_known()) return HclType::dynamic();
    if (!is_list_or_tuple(argument.type())) fail("coalescelist arguments must be lists or tuples");
    same = same && argument.type() == arguments[0].type();
  }
  return same ? arguments[0].type() : HclType::dynamic();
}

HclValue coalesce_list(const Arguments& arguments, const HclType& result, const HclHost&) {
  for (const auto& argument : arguments) {
    if (!argument.is_known()) return HclValue::unknown(result);
    if (!argument.is_null() && argument.length() > 0) return argument;
  }
  fail("no non-null arguments");
}

// --- compact, distinct, contains, index ---

HclValue compact(const Arguments& arguments, const HclType& result, const HclHost&) {
  if (!arguments[0].is_wholly_known()) return HclValue::unknown(result);
  HclValue::Items kept;
  for (const auto& item : arguments[0].items()) {
    if (!item.is_null() && !item.as_string().empty()) kept.push_back(item);
  }
  return HclValue::list(HclType::string(), std::move(kept));
}

HclValue distinct(const Arguments& arguments, const HclType& result, const HclHost&) {
  if (!arguments[0].is_wholly_known()) return HclValue::unknown(result);
  std::unordered_set<std::string> seen;
  HclValue::Items kept;
  for (const auto& item : arguments[0].items()) {
    if (seen.insert(identity(item)).second) kept.push_back(item);
  }
  return HclValue::list(result.element(), std::move(kept));
}

HclValue contains_value(const Arguments& arguments, const HclType& result, const HclHost&) {
  const HclValue& list = arguments[0];
  if (!list.type().is_sequence()) fail("argument must be list, tuple, or set");
  bool unknown = false;
  for (const auto& item : list.items()) {
    HclValue equal = hcl_equal(arguments[1], item);
    if (!equal.is_known())
      unknown = true;
    else if (equal.as_boolean())
      return HclValue::boolean(true);
  }
  return unknown ? HclValue::unknown(result) : HclValue::boolean(false);
}

HclValue index_of(const Arguments& arguments, const HclType& result, const HclHost&) {
  const HclValue& list = arguments[0];
  if (!is_list_or_tuple(list.type())) fail("argument must be a list or tuple");
  if (list.length() == 0) fail("cannot search an empty list");
  int64_t at = 0;
  for (const auto& item : list.items()) {
    HclValue equal = hcl_equal(item, arguments[1]);
    if (!equal.is_known()) return HclValue::unknown(result);
    if (equal.as_boolean()) return HclValue::number(at);
    ++at;
  }
  fail("item not found");
}

// --- concat ---

std::optional<HclType> common_list_type(const Arguments& arguments) {
  std::vector<HclType> types;
  for (const auto& argument : arguments) {
    if (!argument.type().is(Kind::list)) return {};
    types.push_back(argument.type());
  }
  auto type = hcl_unify(types, true);
  if (type && !type->is(Kind::list)) return {};
  return type;
}

HclType concat_type(const Arguments& arguments) {
  if (arguments.empty()) fail("at least one argument is required");
  if (auto type = common_list_type(arguments)) return *type;
  std::vector<HclType> types;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const HclType& type = arguments[i].type();
    if (type.is(Kind::tuple)) {
      types.insert(types.end(), type.elements().begin(), type.elements().end());
    } else if (type.is(Kind::list)) {
      if (!arguments[i].is_known()) return HclType::dynamic();
      types.insert(types.end(), arguments[i].length(), type.element());
    } else {
      fail("all arguments must be lists or tuples; got " + type.friendly_name(), static_cast<int>(i));
    }
    check_items(types.size());
  }
  return HclType::tuple(std::move(types));
}

HclValue concat(const Arguments& arguments, const HclType& result, const HclHost&) {
  HclValue::Items items;
  bool sensitive = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    HclValue list = arguments[i];
    if (result.is(Kind::list)) {
      std::string error;
      auto converted = hcl_convert(list, result, &error);
      if (!converted) fail(error, static_cast<int>(i));
      list = *converted;
    }
    sensitive = sensitive || list.sensitive();
    check_items(items.size() + list.length());
    items.insert(items.end(), list.items().begin(), list.items().end());
  }
  return sequence_of(result, std::move(items)).with_sensitive(sensitive);
}

// --- element, slice, reverse, flatten ---

HclType element_type(const Arguments& arguments) {
  const HclValue& index = arguments[1];
  const HclType& type = arguments[0].type();
  if (index.is_known() && index.as_number().sign() < 0)
    fail("cannot use element function with a negative index");
  if (type.is(Kind::list)) return type.element();
  if (!type.is(Kind::tuple)) fail("cannot read elements from " + type.friendly_name());
  if (!index.is_known()) return HclType::dynamic();
  int64_t at = whole_number(index, "invalid index: ");
  if (type.elements().empty()) fail("cannot use element function with an empty list");
  return type.elements()[static_cast<size_t>(at) % type.elements().size()];
}

HclValue element_at(const Arguments& arguments, const HclType&, const HclHost&) {
  const auto& items = arguments[0].items();
  int64_t at = whole_number(arguments[1], "invalid index: ");
  if (items.empty()) fail("cannot use element function with an empty list");
  const HclValue& item = items[static_cast<size_t>(at) % items.size()];
  return arguments[0].sensitive() ? item.with_sensitive() : item;
}

struct SliceBounds {
  size_t start = 0, end = 0;
  bool known = false;
};

std::optional<int64_t> slice_bound(const HclValue& value, const char* which, int argument,
                                   std::optional<size_t> length) {
  if (!value.is_known()) return {};
  int64_t at = whole_number(value, fmt::format("invalid {} index: ", which), argument);
  if (at < 0) fail(fmt::format("{} index must not be less than zero", which), argument);
  if (length && static_cast<size_t>(at) > *length) {
    fail(fmt::format("{} index must not be greater than the length of the list", which), argument);
  }
  return at;
}

SliceBounds slice_bounds(const Arguments& arguments) {
  const HclValue& list = arguments[0];
  std::optional<size_t> length;
  if (list.is_known())
    length = list.length();
  else if (list.type().is(Kind::tuple))
    length = list.type().elements().size();
  auto start = slice_bound(arguments[1], "start", 1, length);
  auto end = slice_bound(arguments[2], "end", 2, length);
  if (!start || !end) return {};
  if (*start > *end) fail("start index must not be greater than end index", 1);
  return {static_cast<size_t>(*start), static_cast<size_t>(*end), true};
}

HclType slice_type(const Arguments& arguments) {
  const HclType& type = arguments[0].type();
  if (type.is(Kind::set)) {
    fail(
        "cannot slice a set, because its elements do not have indices; explicitly convert to a list if the "
        "ordering of "
        "the result is not important",
        0);
  }
  if (!is_list_or_tuple(type)) fail("must be a list or tuple value", 0);
  SliceBounds bounds = slice_bounds(arguments);
  if (type.is(Kind::list)) return type;
  if (!bounds.known) return HclType::dynamic();
  auto begin = type.elements().begin();
  return HclType::tuple(
      {begin + static_cast<std::ptrdiff_t>(bounds.start), begin + static_cast<std::ptrdiff_t>(bounds.end)});
}

HclValue slice(const Arguments& arguments, const HclType& result, const HclHost&) {
  SliceBounds bounds = slice_bounds(arguments);
  auto begin = arguments[0].items().begin();
  return sequence_of(result, {begin + static_cast<std::ptrdiff_t>(bounds.start),
                              begin + static_cast<std::ptrdiff_t>(bounds.end)})
      .with_sensitive(arguments[0].sensitive());
}

HclType reverse_type(const Arguments& arguments) {
  const HclType& type = arguments[0].type();
  if (type.is(Kind::tuple)) return HclType::tuple({type.elements().rbegin(), type.elements().rend()});
  if (!type.is(Kind::list) && !type.is(Kind::set)) {
    fail("can only reverse list or tuple values, not " + type.friendly_name(), 0);
  }
  return HclType::list(type.element());
}

HclValue reverse_list(const Arguments& arguments, const HclType& result, const HclHost&) {
  const auto& items = arguments[0].items();
  return sequence_of(result, {items.rbegin(), items.rend()}).with_sensitive(arguments[0].sensitive());
}

struct Flattened {
  HclValue::Items items;
  bool known = true;
  bool sensitive = false;
};

void flatten_into(const HclValue& list, Flattened& out) {
  out.sensitive = out.sensitive || list.sensitive();
  if (!list.is_known()) {
    out.known = false;
    return;
  }
  for (const auto& item : list.items()) {
    if (!item.is_known() && item.type().is_dynamic()) out.known = false;
    if (!item.is_null() && item.type().is_sequence()) {
      flatten_into(item, out);
    } else {
      check_items(out.items.size() + 1);
      out.items.push_back(item);
    }
  }
}

HclType flatten_type(const Arguments& arguments) {
  if (!arguments[0].is_wholly_known()) return HclType::dynamic();
  if (!arguments[0].type().is_sequence()) fail("can only flatten lists, sets and tuples");
  Flattened flat;
  flatten_into(arguments[0], flat);
  return flat.known ? tuple_type_of(flat.items) : HclType::dynamic();
}

HclValue flatten(const Arguments& arguments, const HclType& result, const HclHost&) {
  if (!arguments[0].type().is_sequence()) fail("can only flatten lists, sets and tuples");
  Flattened flat;
  flatten_into(arguments[0], flat);
  HclValue out = flat.known ? HclValue::tuple(std::move(flat.items)) : HclValue::unknown(result);
  return out.with_sensitive(flat.sensitive);
}

// --- length ---

HclType length_type(const Arguments& arguments) {
  const HclType& type = arguments[0].type();
  if (!type.is(Kind::string) && !type.is_sequence() && !type.is_keyed() && !type.is_dynamic()) {
    fail("argument must be a string, a collection type, or a structural type");
  }
  return HclType::number();
}

HclValue length_of(const Arguments& arguments, const HclType& result, const HclHost&) {
  const HclValue& value = arguments[0];
  auto whole = [](size_t size) { return HclValue::number(static_cast<int64_t>(size)); };
  HclValue out = HclValue::unknown(result);
  if (value.type().is(Kind::tuple))
    out = whole(value.type().elements().size());
  else if (value.type().is(Kind::object))
    out = whole(value.type().attributes().size());
  else if (!value.is_known())
    return out.with_sensitive(value.sensitive());
  else if (value.type().is(Kind::string))
    out = whole(count_clusters(value.as_string()));
  else
    out = whole(value.length());
  return out.with_sensitive(value.sensitive());
}

// --- keys, values, lookup, merge, zipmap ---

HclType keys_type(const Arguments& arguments) {
  const HclType& type = arguments[0].type();
  if (type.is(Kind::map)) return list_of_text_type();
  if (!type.is(Kind::object)) fail("must have map or object type", 0);
  return HclType::tuple(std::vector<HclType>(type.attributes().size(), HclType::string()));
}

HclValue keys_of(const Arguments& arguments, const HclType& result, const HclHost&) {
  const HclValue& map = arguments[0];
  HclValue::Items keys;
  if (map.type().is(Kind::object)) {
    for (const auto& attribute : map.type().attributes()) keys.push_back(HclValue::string(attribute.first));
  } else {
    if (!map.is_known()) return HclValue::unknown(result).with_sensitive(map.sensitive());
    for (const auto& member : map.members()) keys.push_back(HclValue::string(member.first));
  }
  return sequence_of(result, std::move(keys)).with_sensitive(map.sensitive());
}

HclType values_type(const Arguments& arguments) {
  const HclType& type = arguments[0].type();
  if (type.is(Kind::map)) return HclType::list(type.element());
  if (!type.is(Kind::object)) fail("values() requires a map as the first argument");
  std::vector<HclType> types;
  for (const auto& attribute : type.attributes()) types.push_back(attribute.second);
  return HclType::tuple(std::move(types));
}

HclValue values_of(const Arguments& arguments, const HclType& result, const HclHost&) {
  HclValue::Items items;
  for (const auto& member : arguments[0].members()) items.push_back(member.second);
  return sequence_of(result, std::move(items)).with_sensitive(arguments[0].sensitive());
}

HclType lookup_type(const Arguments& arguments) {
  const HclType& type = arguments[0].type();
  if (type.is(Kind::object)) {
    if (!arguments[1].is_known()) return HclType::dynamic();
    auto found = type.attributes().find(arguments[1].as_string());
    return found == type.attributes().end() ? arguments[2].type() : found->second;
  }
  if (!type.is(Kind::map)) fail("lookup() requires a map as the first argument", 0);
  if (!hcl_convert(arguments[2], type.element())) {
    fail("the default value must have the same type as the map elements", 2);
  }
  return type.element();
}

HclValue lookup_key(const Arguments& arguments, const HclType& result, const HclHost&) {
  const HclValue& map = arguments[0];
  bool sensitive = map.sensitive() || arguments[1].sensitive();
  auto marked = [&](const HclValue& value) { return sensitive ? value.with_sensitive() : value; };
  if (!map.is_wholly_known()) return marked(HclValue::unknown(result));
  if (const HclValue* found = map.find(arguments[1].as_string())) return marked(*found);
  std::string error;
  auto value = hcl_convert(arguments[2], result, &error);
  if (!value) fail(error);
  return marked(*value);
}

void check_mergeable(const HclType& type) {
  if (!type.is_keyed())
    fail(fmt::format("arguments must be maps or objects, got {}", go_quote(type.friendly_name())));
}

HclType merge_type(const Arguments& arguments) {
  if (arguments.empty()) return HclType::object({});
  HclType::Attributes attributes;
  bool same = true, known = true;
  for (const auto& argument : arguments) {
    const HclType& type = argument.type();
    if (type.is_dynamic()) return HclType::dynamic();
    check_mergeable(type);
    same = same && type == arguments[0].type();
    if (argument.is_null()) continue;
    if (type.is(Kind::object)) {
      for (const auto& attribute : type.attributes()) attributes[attribute.first] = attribute.second;
    } else if (argument.is_known()) {
      for (const auto& member : argument.members()) attributes[member.first] = type.element();
    } else {
      known = false;
    }
  }
  if (same) return arguments[0].type();
  return known ? HclType::object(std::move(attributes)) : HclType::dynamic();
}

HclValue merge(const Arguments& arguments, const HclType& result, const HclHost&) {
  HclValue::Members members;
  bool sensitive = false;
  for (const auto& argument : arguments) {
    if (argument.is_null()) continue;
    check_mergeable(
        argument.type());  // merge_type() does not look beyond an argument whose type is not known
    sensitive = sensitive || argument.sensitive();
    for (const auto& member : argument.members()) members[member.first] = member.second;
  }
  HclValue out = result.is(Kind::map) ? HclValue::map(result.element(), std::move(members))
                                      : HclValue::object(std::move(members));
  return out.with_sensitive(sensitive);
}

void check_zip(size_t keys, size_t values) {
  if (keys != values)
    fail(fmt::format("number of keys ({}) does not match number of values ({})", keys, values));
}

HclType zipmap_type(const Arguments& arguments) {
  const HclType& type = arguments[1].type();
  if (type.is(Kind::list)) return HclType::map(type.element());
  if (!type.is(Kind::tuple)) fail("values argument must be a list or tuple value");
  if (!arguments[0].is_wholly_known()) return HclType::dynamic();
  const auto& keys = arguments[0].items();
  check_zip(keys.size(), type.elements().size());
  HclType::Attributes attributes;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].is_null()) fail(fmt::format("keys list has null value at index {}", i));
    attributes[keys[i].as_string()] = type.elements()[i];
  }
  return HclType::object(std::move(attributes));
}

HclValue zipmap(const Arguments& arguments, const HclType& result, const HclHost&) {
  bool sensitive = arguments[0].sensitive() || arguments[1].sensitive();
  if (!arguments[0].is_wholly_known()) return HclValue::unknown(result).with_sensitive(sensitive);
  const auto& keys = arguments[0].items();
  const auto& values = arguments[1].items();
  check_zip(keys.size(), values.size());
  HclValue::Members members;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].is_null()) fail(fmt::format("keys list has null value at index {}", i));
    sensitive = sensitive || keys[i].sensitive();
    members[keys[i].as_string()] = values[i];
  }
  HclValue out = result.is(Kind::map) ? HclValue::map(result.element(), std::move(members))
                                      : HclValue::object(std::move(members));
  return out.with_sensitive(sensitive);
}

// --- range ---

HclValue make_range(const Arguments& arguments, const HclType&, const HclHost&) {
  if (arguments.empty() || arguments.size() > 3) fail("must have one, two, or three arguments");
  HclNumber start = arguments.size() == 1 ? HclNumber(0) : arguments[0].as_number();
  const HclNumber& end = arguments[arguments.size() == 1 ? 0 : 1].as_number();
  HclNumber step = arguments.size() == 3 ? arguments[2].as_number() : HclNumber(end < start ? -1 : 1);
  // A step of 0 is not refused as such: the list either is empty or gets too long.
  bool down = step.sign() < 0;
  if (down && start < end) fail("end must be less than start when step is negative", 1);
  if (!down && end < start) fail("end must be greater than start when step is positive", 1);
  HclValue::Items items;
  for (HclNumber number = start; down ? end < number : number < end; number = number + step) {
    if (items.size() >= 1024) {
      fail(
          "more than 1024 values were generated; either decrease the difference between start and end or use "
          "a smaller "
          "step");
    }
    items.push_back(HclValue::number(number));
  }
  return HclValue::list(HclType::number(), std::move(items));
}

void add_sequences(HclFunctionTable& table) {
  HclType any_list = HclType::list(HclType::dynamic());
  HclType truths = HclType::list(HclType::boolean());
  auto same_type = [](const Arguments& a) { return a[0].type(); };
  auto list_of_same = [](const Arguments& a) { return HclType::list(a[0].type()); };
  table["alltrue"] = function("Tells whether all elements of a list are true.", {parameter("list", truths)},
                              always(HclType::boolean()), all_true);
  table["anytrue"] = function("Tells whether any element of a list is true.", {parameter("list", truths)},
                              always(HclType::boolean()), any_true);
  table["chunklist"] = function("Splits a list into lists of at most the given size.",
                                {parameter("list", any_list, takes_marked), number("size", takes_marked)},
                                list_of_same, chunk_list);
  table["coalesce"] =
      function("Returns the first argument that is neither null nor an empty text.", {},
               any("vals", takes_null | takes_unknown | takes_dynamic), coalesce_type, coalesce);
  table["coalescelist"] =
      function("Returns the first list that is not empty.", {},
               any("vals", takes_null | takes_unknown | takes_dynamic), coalesce_list_type, coalesce_list);
  table["compact"] = function("Removes empty texts from a list of texts.",
                              {parameter("list", list_of_text_type())}, always(list_of_text_type()), compact);
  table["concat"] =
      function("Joins lists and tuples to one.", {}, any("seqs", takes_marked), concat_type, concat);
  table["contains"] = function("Tells whether a list, tuple or set contains a value.",
                               {any("list"), any("value")}, always(HclType::boolean()), contains_value);
  table["distinct"] =
      function("Removes repeated elements from a list.", {parameter("list", any_list)}, same_type, distinct);
  table["element"] = function("Returns the element at an index, counted around when the list is shorter.",
                              {any("list", takes_marked), number("index")}, element_type, element_at);
  table["flatten"] = function("Replaces lists within a list by their elements.", {any("list", takes_marked)},
                              flatten_type, flatten);
  table["index"] = function("Returns the index of the first element that equals a value.",
                            {any("list"), any("value")}, always(HclType::number()), index_of);
  table["range"] = function("Makes a list of numbers: up to a limit, or from a start to a limit by a step.",
                            {}, number("params"), always(HclType::list(HclType::number())), make_range);
  table["reverse"] =
      function("Reverses the order of a list.", {any("list", takes_marked)}, reverse_type, reverse_list);
  table["slice"] =
      function("Takes the elements from one index up to, but without, another.",
               {any("list", takes_marked), number("start_index"), number("end_index")}, slice_type, slice);
}

}  // namespace

void add_collection(HclFunctionTable& table) {
  add_sequences(table);
  table["length"] =
      function("Counts the elements of a collection or the characters of a text.",
               {any("value", takes_unknown | takes_dynamic | takes_marked)}, length_type, length_of);
  table["keys"] = function("Returns the keys of a map, sorted.",
                           {any("inputMap", takes_unknown | takes_marked)}, keys_type, keys_of);
  table["values"] = function("Returns the values of a map in the order of its keys.",
                             {any("mapping", takes_marked)}, values_type, values_of);
  table["lookup"] =
      function("Returns the value of a key of a map, or a default when there is none.",
               {any("inputMap", takes_marked), text("key", takes_marked), any("default", takes_marked)},
               lookup_type, lookup_key);
  table["merge"] = function("Merges maps or objects; later ones win.", {},
                            any("maps", takes_null | takes_dynamic | takes_marked), merge_type, merge);
  table["zipmap"] =
      function("Makes a map of a list of keys and a list of values.",
               {parameter("keys", list_of_text_type(), takes_marked), any("values", takes_marked)},
               zipmap_type, zipmap);
}

}  // namespace kiln::hcl_fn
