#include "lang/hcl_conversion.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace kiln {


std::vector<HclType> hcl_part_types(const HclType& structure) {
  if (structure.is(HclKind::tuple)) return structure.elements();
  std::vector<HclType> out;
  out.reserve(structure.attributes().size());
  for (const auto& [name, type] : structure.attributes()) out.push_back(type);
  return out;
}

bool HclConversions::equal_or_possible(const HclType& from, const HclType& to, bool unsafe) {
  return from == to || possible(from, to, unsafe);
}

bool HclConversions::possible(const HclType& from, const HclType& to, bool unsafe) {
  if (out_of_steps()) return false;
  if (to.is_dynamic()) return true;
  if (from.is_dynamic()) return unsafe;
  if (from.is_primitive() && to.is_primitive()) {
    if (to.is(HclKind::string)) return !from.is(HclKind::string);
    return unsafe && from.is(HclKind::string);
  }
  if (from.is(HclKind::object) && to.is(HclKind::object)) return object_to_object(from, to, unsafe);
  if (from.is(HclKind::tuple) && to.is(HclKind::tuple)) return tuple_to_tuple(from, to, unsafe);
  bool from_sequence = from.is(HclKind::list) || from.is(HclKind::set);
  if (from_sequence && to.is(HclKind::list)) return equal_or_possible(from.element(), to.element(), unsafe);
  if (from_sequence && to.is(HclKind::set)) {
    // Its order and duplicates would be lost.
    if (from.is(HclKind::list) && !unsafe) return false;
    return equal_or_possible(from.element(), to.element(), unsafe);
  }
  if (from.is(HclKind::map) && to.is(HclKind::map)) return possible(from.element(), to.element(), unsafe);
  if (from.is(HclKind::tuple) && (to.is(HclKind::list) || to.is(HclKind::set))) {
    return structure_to_collection(from.elements(), to, unsafe);
  }
  if (from.is(HclKind::object) && to.is(HclKind::map)) return structure_to_collection(hcl_part_types(from), to, unsafe);
  if (from.is(HclKind::map) && to.is(HclKind::object)) return unsafe && map_to_object(from, to, unsafe);
  return false;
}

bool HclConversions::all_convert(const std::vector<HclType>& types, const HclType& to, bool unsafe) {
  return std::all_of(types.begin(), types.end(),
                     [&](const HclType& type) { return equal_or_possible(type, to, unsafe); });
}

bool HclConversions::structure_to_collection(const std::vector<HclType>& parts, const HclType& to, bool unsafe) {
  if (parts.empty()) return true;
  if (!to.element().is_dynamic()) return all_convert(parts, to.element(), unsafe);
  auto unified = unify(parts, unsafe);
  if (!unified) return false;
  if (unified->is_dynamic() && !to.is(HclKind::map)) {
    return std::all_of(parts.begin(), parts.end(), [](const HclType& part) { return part.is_dynamic(); });
  }
  return all_convert(parts, *unified, unsafe);
}

bool HclConversions::object_to_object(const HclType& from, const HclType& to, bool unsafe) {
  return std::all_of(to.attributes().begin(), to.attributes().end(), [&](const auto& wanted) {
    auto found = from.attributes().find(wanted.first);
    if (found == from.attributes().end()) return to.optional().contains(wanted.first);
    return equal_or_possible(found->second, wanted.second, unsafe);
  });
}

bool HclConversions::tuple_to_tuple(const HclType& from, const HclType& to, bool unsafe) {
  return std::equal(from.elements().begin(), from.elements().end(), to.elements().begin(), to.elements().end(),
                    [&](const HclType& a, const HclType& b) { return equal_or_possible(a, b, unsafe); });
}

bool HclConversions::map_to_object(const HclType& from, const HclType& to, bool unsafe) {
  return std::all_of(to.attributes().begin(), to.attributes().end(), [&](const auto& wanted) {
    return to.optional().contains(wanted.first) || equal_or_possible(from.element(), wanted.second, unsafe);
  });
}

HclType HclConversions::without_dynamic(const HclType& from, const HclType& to) {
  if (from.is_dynamic()) return to;
  if (to.is_dynamic()) return from;
  if (!to.has_dynamic()) return to;
  auto element = [&] {
    if (from.is_collection()) return without_dynamic(from.element(), to.element());
    if (from.is_primitive()) return to.element();
    auto unified = unify(hcl_part_types(from), true);
    return unified ? without_dynamic(*unified, to.element()) : to.element();
  };
  switch (to.kind()) {
    case HclKind::list: return HclType::list(element());
    case HclKind::set: return HclType::set(element());
    case HclKind::map: return HclType::map(element());
    case HclKind::tuple: {
      std::vector<HclType> elements = to.elements();
      if (!from.is(HclKind::tuple) || from.elements().size() != elements.size()) return to;
      for (size_t i = 0; i < elements.size(); ++i) elements[i] = without_dynamic(from.elements()[i], elements[i]);
      return HclType::tuple(std::move(elements));
    }
    case HclKind::object: {
      HclType::Attributes attributes = to.attributes();
      for (auto& [name, type] : attributes) {
        if (from.is(HclKind::map)) type = without_dynamic(from.element(), type);
        if (!from.is(HclKind::object)) continue;
        auto found = from.attributes().find(name);
        if (found != from.attributes().end()) type = without_dynamic(found->second, type);
      }
      return HclType::object(std::move(attributes));
    }
    default: return to;
  }
}

std::string HclConversions::mismatch(const HclType& from, const HclType& to) {
  if (from.is(HclKind::object) && to.is(HclKind::object)) return mismatch_of_objects(from, to);
  bool any = to.is_collection() && to.element().is_dynamic();
  if (any && from.is(HclKind::tuple) && to.is(HclKind::list)) return "all list elements must have the same type";
  if (any && from.is(HclKind::tuple) && to.is(HclKind::set)) return "all set elements must have the same type";
  if (any && from.is(HclKind::object) && to.is(HclKind::map)) return "all map elements must have the same type";
  bool keyed = to.is(HclKind::map);
  if (to.is_collection() && from.is(keyed ? HclKind::object : HclKind::tuple)) return mismatch_of_elements(from, to);
  if (to.is_collection() && from.is_collection() && from.is(HclKind::map) == keyed)
    return mismatch_of_collections(from, to);
  return to.friendly_constraint() + " required";
}

std::string HclConversions::mismatch_of_objects(const HclType& from, const HclType& to) {
  std::vector<std::string> missing;
  for (const auto& [name, type] : to.attributes()) {
    if (!from.attributes().contains(name) && !to.optional().contains(name)) missing.push_back(go_quote(name));
  }
  if (missing.size() == 1) return "attribute " + missing[0] + " is required";
  if (missing.size() == 2) return "attributes " + missing[0] + " and " + missing[1] + " are required";
  if (!missing.empty()) {
    missing.back().insert(0, "and ");
    return "attributes " + join(missing, ", ") + " are required";
  }
  for (bool unsafe : {true, false}) {
    for (const auto& [name, type] : to.attributes()) {
      auto found = from.attributes().find(name);
      if (found == from.attributes().end() || equal_or_possible(found->second, type, unsafe)) continue;
      return "attribute " + go_quote(name) + ": " + mismatch(found->second, type);
    }
  }
  return "incorrect object attributes";
}

std::string HclConversions::mismatch_of_elements(const HclType& from, const HclType& to) {
  const HclType& wanted = to.element();
  if (from.is(HclKind::tuple)) {
    for (size_t i = 0; i < from.elements().size(); ++i) {
      const HclType& element = from.elements()[i];
      if (!equal_or_possible(element, wanted, true)) return fmt::format("element {}: {}", i, mismatch(element, wanted));
    }
  } else {
    for (const auto& [name, type] : from.attributes()) {
      if (!equal_or_possible(type, wanted, true)) return "element " + go_quote(name) + ": " + mismatch(type, wanted);
    }
  }
  return "all elements must be " + wanted.friendly_constraint();
}

std::string HclConversions::mismatch_of_collections(const HclType& from, const HclType& to) {
  std::string_view kind = to.is(HclKind::list) ? "list" : to.is(HclKind::set) ? "set" : "map";
  return fmt::format("incorrect {} element type: {}", kind, mismatch(from.element(), to.element()));
}

}  // namespace kiln
