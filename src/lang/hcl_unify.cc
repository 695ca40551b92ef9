// The type that several types have in common.
#include <algorithm>

#include "lang/hcl_conversion.h"
#include "lang/hcl_convert.h"

namespace kiln {

namespace {

using HclTypes = std::vector<HclType>;

size_t count_kind(const HclTypes& types, HclKind kind) {
  return static_cast<size_t>(
      std::count_if(types.begin(), types.end(), [&](const HclType& type) { return type.is(kind); }));
}

HclType make_collection(HclKind kind, HclType element) {
  if (kind == HclKind::list) return HclType::list(std::move(element));
  if (kind == HclKind::set) return HclType::set(std::move(element));
  return HclType::map(std::move(element));
}

bool have_same_attributes(const HclType& a, const HclType& b) {
  return std::equal(a.attributes().begin(), a.attributes().end(), b.attributes().begin(), b.attributes().end(),
                    [](const auto& x, const auto& y) { return x.first == y.first; });
}

HclTypes parts_of_all(const HclTypes& types) {
  HclTypes out;
  for (const auto& type : types) {
    HclTypes parts = hcl_part_types(type);
    out.insert(out.end(), parts.begin(), parts.end());
  }
  return out;
}

}  // namespace

/// Each type once, in order of first occurrence; fewer when out of steps.
HclTypes HclConversions::distinct(const HclTypes& types) {
  HclTypes out;
  for (const auto& type : types) {
    auto is_known = [&](const HclType& other) { return out_of_steps() || other == type; };
    if (std::none_of(out.begin(), out.end(), is_known)) out.push_back(type);
  }
  return out;
}

std::optional<HclType> HclConversions::unify(const HclTypes& all, bool unsafe) {
  if (all.empty() || out_of_steps()) return std::nullopt;
  HclTypes types = distinct(all);
  if (types.size() == 1) return types[0].without_optional();
  bool decided = false;
  auto same_kind = unify_same_kind(types, unsafe, decided);
  return decided ? same_kind : unify_by_preference(types, unsafe);
}

/// HclTypes of one kind, or of two that go together, may have a type in common that is none of them.
std::optional<HclType> HclConversions::unify_same_kind(const HclTypes& types, bool unsafe, bool& decided) {
  size_t maps = count_kind(types, HclKind::map);
  size_t lists = count_kind(types, HclKind::list);
  size_t sets = count_kind(types, HclKind::set);
  size_t objects = count_kind(types, HclKind::object);
  size_t tuples = count_kind(types, HclKind::tuple);
  size_t dynamics = count_kind(types, HclKind::dynamic);
  auto are_all = [&](size_t first, size_t second = 0) {
    return first > 0 && first + second + dynamics == types.size();
  };
  decided = true;
  // With types that are not known yet nothing can be told of what the others will become.
  if (are_all(maps) || are_all(lists) || are_all(sets) || are_all(objects) || are_all(tuples)) {
    if (dynamics > 0) return HclType::dynamic();
    if (objects > 0) return unify_objects(types, unsafe);
    if (tuples > 0) return unify_tuples(types, unsafe);
    return unify_collections(types, unsafe);
  }
  std::optional<HclType> mixed;
  if (are_all(maps, objects)) {
    mixed = unify_mixed(types, HclKind::map, unsafe);
  } else if (are_all(lists, tuples)) {
    mixed = unify_mixed(types, HclKind::list, unsafe);
  } else if (objects > 0 && tuples > 0) {
    return std::nullopt;
  }
  decided = mixed.has_value();
  return mixed;
}

std::optional<HclType> HclConversions::unify_collections(const HclTypes& types, bool unsafe) {
  HclTypes elements;
  for (const auto& type : types) elements.push_back(type.element());
  auto element = unify(elements, unsafe);
  if (!element) return std::nullopt;
  HclType out = make_collection(types[0].kind(), *element);
  return all_convert(types, out, unsafe) ? std::optional(out) : std::nullopt;
}

std::optional<HclType> HclConversions::unify_as_collection(const HclTypes& types, HclKind kind, bool unsafe) {
  auto element = unify(parts_of_all(types), unsafe);
  if (!element) return std::nullopt;
  HclType out = make_collection(kind, *element);
  return all_convert(types, out, unsafe) ? std::optional(out) : std::nullopt;
}

std::optional<HclType> HclConversions::unify_objects(const HclTypes& types, bool unsafe) {
  for (const auto& type : types) {
    if (!have_same_attributes(type, types[0])) return unify_as_collection(types, HclKind::map, unsafe);
  }
  HclType::Attributes attributes;
  for (const auto& [name, first] : types[0].attributes()) {
    HclTypes across;
    for (const auto& type : types) across.push_back(type.attributes().at(name));
    auto unified = unify(across, unsafe);
    if (!unified) return std::nullopt;
    attributes.emplace_hint(attributes.end(), name, std::move(*unified));
  }
  HclType out = HclType::object(std::move(attributes));
  return all_convert(types, out, unsafe) ? out : unify_as_collection(types, HclKind::map, unsafe);
}

std::optional<HclType> HclConversions::unify_tuples(const HclTypes& types, bool unsafe) {
  size_t length = types[0].elements().size();
  for (const auto& type : types) {
    if (type.elements().size() != length) return unify_as_collection(types, HclKind::list, unsafe);
  }
  HclTypes elements;
  for (size_t i = 0; i < length; ++i) {
    HclTypes across;
    for (const auto& type : types) across.push_back(type.elements()[i]);
    auto unified = unify(across, unsafe);
    if (!unified) return std::nullopt;
    elements.push_back(std::move(*unified));
  }
  HclType out = HclType::tuple(std::move(elements));
  return all_convert(types, out, unsafe) ? out : unify_as_collection(types, HclKind::list, unsafe);
}

/// Tuples among lists, or objects among maps: the structures are taken for such collections first.
std::optional<HclType> HclConversions::unify_mixed(const HclTypes& types, HclKind kind, bool unsafe) {
  HclKind structure = kind == HclKind::list ? HclKind::tuple : HclKind::object;
  HclTypes structures;
  HclTypes others;
  for (const auto& type : types) (type.is(structure) ? structures : others).push_back(type);
  // Structures of one length or with the same attributes would unify as such; here only the collection will do.
  auto collection = unify_as_collection(structures, kind, unsafe);
  if (!collection) return std::nullopt;
  others.push_back(std::move(*collection));
  auto out = unify(others, unsafe);
  return out && out->is(kind) ? out : std::nullopt;
}

/// Negative when `a` can hold what `b` does and is to be preferred, positive the other way around.
int HclConversions::preference(const HclType& a, const HclType& b) {
  if (out_of_steps()) return 0;
  if (a.is_dynamic() || b.is_dynamic()) return a.is_dynamic() - b.is_dynamic();
  if (a.is_primitive() && b.is_primitive()) return b.is(HclKind::string) - a.is(HclKind::string);
  if (a.is_collection() && a.kind() == b.kind()) return preference(a.element(), b.element());
  // The more general kind first: list before tuple before set, map before object.
  auto rank = [](const HclType& type) { return type.is(HclKind::list) ? 0 : type.is(HclKind::tuple) ? 1 : 2; };
  if (a.is_sequence() && b.is_sequence() && a.kind() != b.kind()) return rank(a) < rank(b) ? -1 : 1;
  if (a.is_keyed() && b.is_keyed() && a.kind() != b.kind()) return a.is(HclKind::map) ? -1 : 1;
  bool objects = a.is(HclKind::object) && b.is(HclKind::object) && have_same_attributes(a, b);
  bool tuples = a.is(HclKind::tuple) && b.is(HclKind::tuple) && a.elements().size() == b.elements().size();
  if (!objects && !tuples) return 0;
  HclTypes parts_a = hcl_part_types(a);
  HclTypes parts_b = hcl_part_types(b);
  bool a_first = false;
  bool b_first = false;
  for (size_t i = 0; i < parts_a.size(); ++i) {
    int order = preference(parts_a[i], parts_b[i]);
    a_first |= order < 0;
    b_first |= order > 0;
  }
  return static_cast<int>(b_first) - static_cast<int>(a_first);
}

/// The first in order of preference that all the others convert to.
std::optional<HclType> HclConversions::unify_by_preference(const HclTypes& types, bool unsafe) {
  std::vector<std::vector<size_t>> follow(types.size());
  std::vector<size_t> waits_for(types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    for (size_t j = i + 1; j < types.size(); ++j) {
      int order = preference(types[i], types[j]);
      if (order == 0) continue;
      auto [first, second] = order < 0 ? std::pair(i, j) : std::pair(j, i);
      follow[first].push_back(second);
      ++waits_for[second];
    }
  }
  std::vector<size_t> ready;
  for (size_t i = 0; i < types.size(); ++i) {
    if (waits_for[i] == 0) ready.push_back(i);
  }
  for (size_t next = 0; next < ready.size(); ++next) {
    const HclType& wanted = types[ready[next]];
    if (all_convert(types, wanted, unsafe)) return wanted.without_optional();
    for (size_t other : follow[ready[next]]) {
      if (--waits_for[other] == 0) ready.push_back(other);
    }
  }
  return std::nullopt;
}

std::optional<HclType> hcl_unify(const HclTypes& types, bool unsafe) { return HclConversions().unify(types, unsafe); }

}  // namespace kiln
