#include "lang/hcl_value.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "base/error.h"
#include "base/text.h"

namespace kiln {

struct HclValue::Sequence {
  Items items;
  Facts facts;
};

struct HclValue::Mapping {
  Members members;
  Facts facts;
};

namespace {

/// Below U+0300 no character combines with the one before it: such text is in normal form already.
bool is_surely_normal(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0xCC; });
}

/// The length of the well-formed character at the start; 0 when there is none.
size_t character_length(std::string_view text) {
  utf8proc_int32_t character = 0;
  auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &character);
  return length > 0 ? static_cast<size_t>(length) : 0;
}

void append_normalized(std::string& out, std::string_view well_formed) {
  utf8proc_uint8_t* made = nullptr;
  auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(well_formed.data()),
                           static_cast<utf8proc_ssize_t>(well_formed.size()), &made,
                           static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (size < 0) {
    out += well_formed;
  } else {
    out.append(reinterpret_cast<const char*>(made), static_cast<size_t>(size));
  }
  std::free(made);
}

}  // namespace

std::string hcl_normalize(std::string text) {
  if (is_surely_normal(text)) return text;
  std::string out;
  std::string_view rest = text;
  while (!rest.empty()) {
    size_t good = 0;
    while (size_t length = character_length(rest.substr(good))) good += length;
    append_normalized(out, rest.substr(0, good));
    rest.remove_prefix(good);
    if (rest.empty()) break;
    out += rest[0];
    rest.remove_prefix(1);
  }
  return out;
}

void HclValue::Facts::note(const HclValue& part) {
  constexpr int max_depth = 500;
  if (const Facts* inner = part.facts()) depth = std::max(depth, inner->depth + 1);
  wholly_known &= part.is_wholly_known();
  contains_sensitive |= part.contains_sensitive();
  if (depth > max_depth || __builtin_add_overflow(weight, part.weight(), &weight))
    weight = std::numeric_limits<uint64_t>::max();
}

HclValue HclValue::null(HclType type) { return {std::move(type), Null{}}; }
HclValue HclValue::unknown(HclType type) { return {std::move(type), Unknown{}}; }
HclValue HclValue::boolean(bool value) { return {HclType::boolean(), value}; }
HclValue HclValue::number(HclNumber value) { return {HclType::number(), std::move(value)}; }

HclValue HclValue::string(std::string value) {
  return {HclType::string(), std::make_shared<const std::string>(hcl_normalize(std::move(value)))};
}

HclValue HclValue::of_items(HclType type, Items items) {
  auto made = std::make_shared<Sequence>();
  for (const auto& item : items) made->facts.note(item);
  made->items = std::move(items);
  return {std::move(type), std::shared_ptr<const Sequence>(std::move(made))};
}

HclValue HclValue::of_members(HclType type, Members members) {
  auto made = std::make_shared<Mapping>();
  std::vector<Members::node_type> renamed;
  for (auto next = members.begin(); next != members.end();) {
    auto member = next++;
    made->facts.note(member->second);
    if (is_surely_normal(member->first)) continue;
    renamed.push_back(members.extract(member));
    renamed.back().key() = hcl_normalize(renamed.back().key());
  }
  for (auto& member : renamed) members.insert(std::move(member));
  made->members = std::move(members);
  return {std::move(type), std::shared_ptr<const Mapping>(std::move(made))};
}

HclValue HclValue::typed(HclValue item, const HclType& element) {
  if (!item.type_.is_dynamic() || element.is_dynamic()) return item;
  item.type_ = element;
  return item;
}

HclValue HclValue::list(HclType element, Items items) {
  for (auto& item : items) item = typed(std::move(item), element);
  return of_items(HclType::list(std::move(element)), std::move(items));
}

HclValue HclValue::map(HclType element, Members members) {
  for (auto& [name, member] : members) member = typed(std::move(member), element);
  return of_members(HclType::map(std::move(element)), std::move(members));
}

HclValue HclValue::tuple(Items items) {
  std::vector<HclType> types;
  types.reserve(items.size());
  for (const auto& item : items) types.push_back(item.type());
  return of_items(HclType::tuple(std::move(types)), std::move(items));
}

HclValue HclValue::object(Members members) {
  HclValue out = of_members(HclType(), std::move(members));
  HclType::Attributes types;
  for (const auto& [name, member] : out.members()) types.emplace_hint(types.end(), name, member.type());
  out.type_ = HclType::object(std::move(types));
  return out;
}

const HclValue::Facts* HclValue::facts() const {
  if (const auto* sequence = std::get_if<std::shared_ptr<const Sequence>>(&data_)) return &(*sequence)->facts;
  if (const auto* mapping = std::get_if<std::shared_ptr<const Mapping>>(&data_)) return &(*mapping)->facts;
  return nullptr;
}

bool HclValue::is_wholly_known() const {
  const Facts* found = facts();
  return found ? found->wholly_known : is_known();
}

bool HclValue::contains_sensitive() const {
  const Facts* found = facts();
  return sensitive_ || (found && found->contains_sensitive);
}

uint64_t HclValue::weight() const {
  constexpr size_t text_unit = 1024;
  // A null, an unknown or an empty list is small, but its type may not be.
  if (const Facts* found = facts()) return std::max(found->weight, type_.weight());
  if (!has_content()) return type_.weight();
  const auto* text = std::get_if<std::shared_ptr<const std::string>>(&data_);
  return 1 + (text ? (*text)->size() / text_unit : 0);
}

HclValue HclValue::with_sensitive(bool sensitive) const {
  HclValue out = *this;
  out.sensitive_ = sensitive;
  return out;
}

HclValue HclValue::unmarked_deep(bool* found) const {
  if (!contains_sensitive()) return *this;
  if (found) *found = true;
  HclValue out = *this;
  out.sensitive_ = false;
  if (!out.contains_sensitive()) return out;
  if (type_.is_keyed()) {
    Members plain;
    for (const auto& [name, member] : members()) plain.emplace_hint(plain.end(), name, member.unmarked_deep());
    return of_members(type_, std::move(plain));
  }
  Items plain;
  plain.reserve(items().size());
  for (const auto& item : items()) plain.push_back(item.unmarked_deep());
  return of_items(type_, std::move(plain));
}

bool HclValue::as_boolean() const {
  const bool* value = std::get_if<bool>(&data_);
  KILN_CHECK(value);
  return *value;
}

const HclNumber& HclValue::as_number() const {
  const auto* value = std::get_if<HclNumber>(&data_);
  KILN_CHECK(value);
  return *value;
}

const std::string& HclValue::as_string() const {
  const auto* value = std::get_if<std::shared_ptr<const std::string>>(&data_);
  KILN_CHECK(value);
  return **value;
}

const HclValue::Items& HclValue::items() const {
  const auto* value = std::get_if<std::shared_ptr<const Sequence>>(&data_);
  KILN_CHECK(value);
  return (*value)->items;
}

const HclValue::Members& HclValue::members() const {
  const auto* value = std::get_if<std::shared_ptr<const Mapping>>(&data_);
  KILN_CHECK(value);
  return (*value)->members;
}

size_t HclValue::length() const { return type_.is_keyed() ? members().size() : items().size(); }

const HclValue* HclValue::find(std::string_view key) const {
  if (!type_.is_keyed() || !has_content()) return nullptr;
  const Members& all = members();
  auto found = all.find(std::string(key));
  return found == all.end() ? nullptr : &found->second;
}

bool HclValue::raw_equals(const HclValue& other) const {
  if (!(type_ == other.type_) || data_.index() != other.data_.index()) return false;
  if (!has_content()) return true;
  switch (type_.kind()) {
    case HclType::Kind::boolean: return as_boolean() == other.as_boolean();
    case HclType::Kind::number: return as_number() == other.as_number();
    case HclType::Kind::string: return as_string() == other.as_string();
    case HclType::Kind::map:
    case HclType::Kind::object:
      return &members() == &other.members() || std::equal(members().begin(), members().end(), other.members().begin(),
                                                          other.members().end(), [](const auto& a, const auto& b) {
                                                            return a.first == b.first && a.second.raw_equals(b.second);
                                                          });
    default:
      return &items() == &other.items() ||
             std::equal(items().begin(), items().end(), other.items().begin(), other.items().end(),
                        [](const auto& a, const auto& b) { return a.raw_equals(b); });
  }
}

// Equality.

namespace {

enum class Equality { no, yes, unknown };

/// Could values of the two types become equal once all types are known? (cty's TestConformance.)
bool may_conform(const HclType& given, const HclType& wanted) {
  if (wanted.is_dynamic() || given == wanted) return true;
  if (given.kind() != wanted.kind()) return false;
  if (given.is_collection()) return may_conform(given.element(), wanted.element());
  if (given.is(HclType::Kind::tuple)) {
    return std::equal(given.elements().begin(), given.elements().end(), wanted.elements().begin(),
                      wanted.elements().end(), may_conform);
  }
  if (given.is(HclType::Kind::object)) {
    return std::equal(
        given.attributes().begin(), given.attributes().end(), wanted.attributes().begin(), wanted.attributes().end(),
        [](const auto& a, const auto& b) { return a.first == b.first && may_conform(a.second, b.second); });
  }
  return false;
}

/// Whether every type within is known, where it matters: cty's HasWhollyKnownType.
bool has_wholly_known_type(const HclValue& value) {
  if (!value.type().has_dynamic()) return true;
  if (value.is_null()) return true;
  if (!value.is_known()) return !value.type().is_dynamic();
  if (value.type().is_keyed()) {
    return std::all_of(value.members().begin(), value.members().end(),
                       [](const auto& member) { return has_wholly_known_type(member.second); });
  }
  if (!value.type().is_sequence()) return true;
  return std::all_of(value.items().begin(), value.items().end(), has_wholly_known_type);
}

Equality equal_without_marks(const HclValue& a, const HclValue& b);

template <class Range, class Part>
Equality equal_parts(const Range& a, const Range& b, Part&& part) {
  auto other = b.begin();
  for (const auto& one : a) {
    Equality result = equal_without_marks(part(one), part(*other));
    if (result != Equality::yes) return result;
    ++other;
  }
  return Equality::yes;
}

Equality equal_contents(const HclValue& a, const HclValue& b) {
  auto truth = [](bool yes) { return yes ? Equality::yes : Equality::no; };
  switch (a.type().kind()) {
    case HclType::Kind::dynamic: return Equality::unknown;
    case HclType::Kind::boolean: return truth(a.as_boolean() == b.as_boolean());
    case HclType::Kind::number: return truth(a.as_number() == b.as_number());
    case HclType::Kind::string: return truth(a.as_string() == b.as_string());
    case HclType::Kind::map:
    case HclType::Kind::object:
      if (&a.members() == &b.members() && a.is_wholly_known()) return Equality::yes;
      if (!std::equal(a.members().begin(), a.members().end(), b.members().begin(), b.members().end(),
                      [](const auto& x, const auto& y) { return x.first == y.first; })) {
        return Equality::no;
      }
      return equal_parts(a.members(), b.members(), [](const auto& member) -> const HclValue& { return member.second; });
    default:
      if (&a.items() == &b.items() && a.is_wholly_known()) return Equality::yes;
      if (a.items().size() != b.items().size()) return Equality::no;
      return equal_parts(a.items(), b.items(), [](const auto& item) -> const HclValue& { return item; });
  }
}

Equality equal_without_marks(const HclValue& a, const HclValue& b) {
  if (!a.is_known() || !b.is_known()) {
    if (!a.is_known() && !b.is_known()) return Equality::unknown;
    const HclValue& known = a.is_known() ? a : b;
    const HclValue& unknown = a.is_known() ? b : a;
    if (known.is_null() || unknown.type().has_dynamic()) return Equality::unknown;
    return known.type() == unknown.type() ? Equality::unknown : Equality::no;
  }
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null() ? Equality::yes : Equality::no;
  if (!has_wholly_known_type(a) || !has_wholly_known_type(b)) {
    bool never = !may_conform(a.type(), b.type()) && !may_conform(b.type(), a.type());
    return never ? Equality::no : Equality::unknown;
  }
  if (!(a.type() == b.type())) return Equality::no;
  return equal_contents(a, b);
}

}  // namespace

HclValue hcl_equal(const HclValue& a, const HclValue& b) {
  Equality result = equal_without_marks(a, b);
  HclValue out = result == Equality::unknown ? HclValue::unknown(HclType::boolean())
                                             : HclValue::boolean(result == Equality::yes);
  return out.with_sensitive(a.contains_sensitive() || b.contains_sensitive());
}

// Sets.

namespace {

/// The bytes by which cty orders the members of sets that have no order of their own.
void append_set_key(const HclValue& value, std::string& out) {
  if (!value.is_known() || value.is_null()) {
    out += value.is_known() ? '~' : '?';
    return;
  }
  switch (value.type().kind()) {
    case HclType::Kind::dynamic: return;
    case HclType::Kind::boolean: out += value.as_boolean() ? 'T' : 'F'; return;
    case HclType::Kind::number: out += value.as_number().brief(); return;
    case HclType::Kind::string: out += go_quote(value.as_string()); return;
    case HclType::Kind::map:
      out += '{';
      for (const auto& [name, member] : value.members()) {
        out += go_quote(name) + ":";
        append_set_key(member, out);
        out += ';';
      }
      out += '}';
      return;
    case HclType::Kind::object:
      out += '<';
      for (const auto& [name, member] : value.members()) {
        append_set_key(member, out);
        out += ';';
      }
      out += '>';
      return;
    default: {
      bool tuple = value.type().is(HclType::Kind::tuple);
      out += tuple ? '<' : '[';
      for (const auto& item : value.items()) {
        append_set_key(item, out);
        out += ';';
      }
      out += tuple ? '>' : ']';
    }
  }
}

bool precedes_in_set(const HclValue& a, const HclValue& b) {
  if (a.is_null() || b.is_null()) return !a.is_null();
  switch (a.type().kind()) {
    case HclType::Kind::boolean: return !a.as_boolean() && b.as_boolean();
    case HclType::Kind::number: return compare(a.as_number(), b.as_number()) < 0;
    default: return a.as_string() < b.as_string();
  }
}

bool equals_surely(const HclValue& a, const HclValue& b) { return equal_without_marks(a, b) == Equality::yes; }

void sort_primitives(HclValue::Items& items) {
  std::stable_sort(items.begin(), items.end(), [](const HclValue& a, const HclValue& b) {
    return precedes_in_set(a, b) && !(a.is_null() && b.is_null());
  });
  items.erase(std::unique(items.begin(), items.end(), equals_surely), items.end());
}

/// Members that are equal have the same key, but not the other way around.
void sort_by_keys(HclValue::Items& items) {
  std::vector<std::pair<std::string, HclValue>> keyed;
  keyed.reserve(items.size());
  for (auto& item : items) {
    std::string key;
    append_set_key(item, key);
    if (item.is_null()) key.insert(0, 1, '\xFF');  // nulls come last
    keyed.emplace_back(std::move(key), std::move(item));
  }
  std::stable_sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  items.clear();
  size_t group = 0;  // where the members with the key of this one begin
  const std::string* group_key = nullptr;
  for (auto& [key, item] : keyed) {
    if (!group_key || *group_key != key) group = items.size();
    group_key = &key;
    bool known_already = std::any_of(items.begin() + static_cast<ptrdiff_t>(group), items.end(),
                                     [&one = item](const HclValue& other) { return equals_surely(one, other); });
    if (!known_already) items.push_back(std::move(item));
  }
}

}  // namespace

HclValue HclValue::set(HclType element, Items items) {
  bool sensitive = false;
  for (auto& item : items) {
    item = typed(std::move(item), element);
    if (item.contains_sensitive()) item = item.unmarked_deep(&sensitive);
  }
  bool known = std::all_of(items.begin(), items.end(), [](const HclValue& item) { return item.is_wholly_known(); });
  HclType type = HclType::set(std::move(element));
  if (!known) return unknown(std::move(type)).with_sensitive(sensitive);
  type.element().is_primitive() ? sort_primitives(items) : sort_by_keys(items);
  return of_items(std::move(type), std::move(items)).with_sensitive(sensitive);
}

// To and from what components take.

namespace {

Value plain_value(const HclValue& value, const SourceRange& range, bool secret) {
  secret |= value.sensitive();
  Value out;
  if (!value.is_known()) {
    out = Value::unknown();
  } else if (value.is_null()) {
    out = Value();
  } else if (value.type().is(HclType::Kind::boolean)) {
    out = Value(value.as_boolean());
  } else if (value.type().is(HclType::Kind::number)) {
    out = Value(Number{value.as_number().text()});
  } else if (value.type().is(HclType::Kind::string)) {
    out = Value(value.as_string());
  } else if (value.type().is_keyed()) {
    Value::Object members;
    members.reserve(value.members().size());
    for (const auto& [name, member] : value.members())
      members.push_back({name, plain_value(member, range, secret), range});
    out = Value(std::move(members));
  } else {
    Value::List items;
    items.reserve(value.items().size());
    for (const auto& item : value.items()) items.push_back(plain_value(item, range, secret));
    out = Value(std::move(items));
  }
  out.range = range;
  out.secret = secret;
  return out;
}

HclValue without_own_secrecy(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::null: return HclValue::null(HclType::dynamic());
    case Value::Kind::unknown: return HclValue::unknown(HclType::dynamic());
    case Value::Kind::boolean: return HclValue::boolean(value.as_bool());
    case Value::Kind::number: {
      auto number = HclNumber::parse(value.as_number().text);
      return number ? HclValue::number(*number) : HclValue::string(value.as_number().text);
    }
    case Value::Kind::string: return HclValue::string(value.as_string());
    case Value::Kind::list: {
      HclValue::Items items;
      items.reserve(value.as_list().size());
      for (const auto& item : value.as_list()) items.push_back(from_plain_value(item));
      return HclValue::tuple(std::move(items));
    }
    case Value::Kind::object: {
      HclValue::Members members;
      for (const auto& member : value.as_object()) members.insert_or_assign(member.key, from_plain_value(member.value));
      return HclValue::object(std::move(members));
    }
  }
  return {};
}

void collect_strings(const HclValue& value, bool all, std::vector<std::string>& out) {
  all |= value.sensitive();
  if (!value.has_content() || (!all && !value.contains_sensitive())) return;
  if (value.type().is(HclType::Kind::string)) {
    out.push_back(value.as_string());
  } else if (value.type().is_keyed()) {
    for (const auto& [name, member] : value.members()) collect_strings(member, all, out);
  } else if (value.type().is_sequence()) {
    for (const auto& item : value.items()) collect_strings(item, all, out);
  }
}

}  // namespace

Value to_plain_value(const HclValue& value, const SourceRange& range) { return plain_value(value, range, false); }

HclValue from_plain_value(const Value& value) {
  HclValue out = without_own_secrecy(value);
  return value.secret ? out.with_sensitive() : out;
}

void collect_sensitive_strings(const HclValue& value, std::vector<std::string>& out) {
  collect_strings(value, false, out);
}

}  // namespace kiln
