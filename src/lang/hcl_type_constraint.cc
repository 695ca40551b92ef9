// Type constraints as HCL writes them, and the defaults of their optional attributes.
#include <fmt/format.h>

#include "base/text.h"
#include "lang/hcl_conversion.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_eval.h"

namespace kiln {

namespace {

using Defaults = HclTypeConstraint::Defaults;

const std::vector<std::string>& type_words() {
  static const std::vector<std::string> words = {"any",    "bool", "list",   "map",  "number",
                                                 "object", "set",  "string", "tuple"};
  return words;
}

std::string_view written_text(const SourceRange& range) {
  if (!range.known() || range.end > range.file->text.size() || range.begin > range.end) return {};
  return std::string_view(range.file->text).substr(range.begin, range.end - range.begin);
}

/// A bare word: the name of a variable, or true, false, null. Empty when it is something else.
std::string keyword_of(const HclExpression& e) {
  if (e.kind == HclExpressionKind::scope && e.steps.empty()) return e.name;
  if (e.kind != HclExpressionKind::literal) return {};
  if (e.value.is_null()) return "null";
  if (e.value.kind() == Value::Kind::boolean) return e.value.as_bool() ? "true" : "false";
  return {};
}

/// An object's key that was written as a bare word. Empty for all others.
std::string attribute_word(const HclExpression& key) {
  std::string keyword = keyword_of(key);
  if (!keyword.empty() || key.kind != HclExpressionKind::literal || !key.value.is_string()) return keyword;
  std::string_view written = written_text(key.range);
  return written.starts_with('"') || written.starts_with('<') ? "" : key.value.as_string();
}

SourceRange between(const SourceRange& first, const SourceRange& last) {
  SourceRange out = first;
  out.end = last.end;
  return out;
}

/// From the parenthesis that opens the arguments to the one that closes them.
SourceRange arguments_range(const HclExpression& call) {
  SourceRange out = call.range;
  if (SourceRange name = call.name_range(); name.known()) out.begin = name.end;
  return out;
}

class TypeReader {
 public:
  explicit TypeReader(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  /// The type, `any` after diagnostics.
  HclTypeConstraint read(const HclExpression& e);
  bool failed() const { return failed_; }

 private:
  HclTypeConstraint read_keyword(const std::string& word, const HclExpression& e);
  HclTypeConstraint read_call(const HclExpression& call);
  HclTypeConstraint read_collection(const HclExpression& call);
  HclTypeConstraint read_object(const HclExpression& call);
  HclTypeConstraint read_tuple(const HclExpression& call);
  void read_attribute(const HclExpression& key, const HclExpression& value);
  void wrong_count(const HclExpression& call);

  /// What an attribute's optional() said.
  struct Optional {
    bool optional = false;
    bool skip = false;  ///< it does not even hold a type
    const HclExpression* type = nullptr;
    const HclExpression* default_expression = nullptr;
    HclValue default_value;
  };
  Optional read_optional(const HclExpression& value);
  void check_default(Optional& modifier, const HclType& type);

  HclTypeConstraint fail(std::string detail, const SourceRange& range, const std::string& word = {}) {
    std::string hint;
    if (auto name = nearest_name(word, type_words()); name && !word.empty()) hint = "Did you mean \"" + *name + "\"?";
    failed_ = true;
    diagnostics_.error("Invalid type specification", std::move(detail), range, std::move(hint));
    return {};
  }

  Diagnostics& diagnostics_;
  bool failed_ = false;
};

constexpr std::string_view object_arity =
    "The object type constructor requires one argument specifying the attribute types and values as a map.";
constexpr std::string_view tuple_arity =
    "The tuple type constructor requires one argument specifying the element types as a list.";

std::string collection_arity(const std::string& word) {
  return "The " + word + " type constructor requires one argument specifying the element type.";
}

HclTypeConstraint TypeReader::read(const HclExpression& e) {
  if (e.kind == HclExpressionKind::bound) return read(*e.items[0]);
  if (e.json) {
    if (auto native = parse_hcl_json_static(e)) return read(*native);
  }
  std::string word = keyword_of(e);
  if (!word.empty()) return read_keyword(word, e);
  if (e.kind == HclExpressionKind::call) return read_call(e);
  return fail(
      "A type specification is either a primitive type keyword (bool, number, string) or a complex type constructor "
      "call, like list(string).",
      e.range);
}

HclTypeConstraint TypeReader::read_keyword(const std::string& word, const HclExpression& e) {
  if (word == "bool") return {HclType::boolean(), {}};
  if (word == "string") return {HclType::string(), {}};
  if (word == "number") return {HclType::number(), {}};
  if (word == "any") return {HclType::dynamic(), {}};
  if (word == "list" || word == "map" || word == "set") return fail(collection_arity(word), e.range);
  if (word == "object") return fail(std::string(object_arity), e.range);
  if (word == "tuple") return fail(std::string(tuple_arity), e.range);
  return fail(fmt::format("The keyword {} is not a valid type specification.", go_quote(word)), e.range, word);
}

void TypeReader::wrong_count(const HclExpression& call) {
  SourceRange range = arguments_range(call);
  if (call.items.size() > 1) range = between(call.items[1]->range, call.items.back()->range);
  std::string detail = call.name == "object"  ? std::string(object_arity)
                       : call.name == "tuple" ? std::string(tuple_arity)
                                              : collection_arity(call.name);
  fail(std::move(detail), range);
}

HclTypeConstraint TypeReader::read_call(const HclExpression& call) {
  const std::string& name = call.name;
  if (name == "bool" || name == "string" || name == "number") {
    return fail(fmt::format("Primitive type keyword \"{}\" does not expect arguments.", name), arguments_range(call));
  }
  if (name == "any") {
    return fail("Type constraint keyword \"any\" does not expect arguments.", arguments_range(call));
  }
  bool collection = name == "list" || name == "set" || name == "map";
  if ((collection || name == "object" || name == "tuple") && call.items.size() != 1) {
    wrong_count(call);
    return {};
  }
  if (collection) return read_collection(call);
  if (name == "object") return read_object(call);
  if (name == "tuple") return read_tuple(call);
  if (name == "optional") {
    return fail("Keyword \"optional\" is valid only as a modifier for object type attributes.", call.name_range());
  }
  return fail(fmt::format("Keyword {} is not a valid type constructor.", go_quote(name)), call.range, name);
}

HclTypeConstraint TypeReader::read_collection(const HclExpression& call) {
  HclTypeConstraint element = read(*call.items[0]);
  HclTypeConstraint out;
  out.type = call.name == "list"  ? HclType::list(element.type)
             : call.name == "set" ? HclType::set(element.type)
                                  : HclType::map(element.type);
  if (!element.defaults.empty()) out.defaults.children.emplace("", std::move(element.defaults));
  return out;
}

HclTypeConstraint TypeReader::read_tuple(const HclExpression& call) {
  const HclExpression& list = *call.items[0];
  if (list.kind != HclExpressionKind::tuple) {
    return fail("Tuple type constructor requires a list of element types.", list.range);
  }
  std::vector<HclType> types;
  HclTypeConstraint out;
  for (const auto& item : list.items) {
    HclTypeConstraint element = read(*item);
    if (!element.defaults.empty()) {
      out.defaults.children.emplace(std::to_string(types.size()), std::move(element.defaults));
    }
    types.push_back(element.type);
  }
  out.type = HclType::tuple(std::move(types));
  return out;
}

HclTypeConstraint TypeReader::read_object(const HclExpression& call) {
  const HclExpression& members = *call.items[0];
  if (members.kind != HclExpressionKind::object) {
    return fail(
        "Object type constructor requires a map whose keys are attribute names and whose values are the corresponding "
        "attribute types.",
        members.range);
  }
  HclType::Attributes types;
  std::set<std::string> optional;
  HclTypeConstraint out;
  for (size_t i = 0; i + 1 < members.items.size(); i += 2) {
    const HclExpression& key = *members.items[i];
    std::string name = attribute_word(key);
    if (name.empty()) {
      fail("Object constructor map keys must be attribute names.", key.range);
      continue;
    }
    if (types.contains(name)) {
      fail("Object constructor map keys must be unique.", key.range);
      continue;
    }
    Optional modifier = read_optional(*members.items[i + 1]);
    if (modifier.skip) continue;
    HclTypeConstraint attribute = read(*modifier.type);
    check_default(modifier, attribute.type);
    if (modifier.optional) optional.insert(name);
    if (modifier.default_expression) out.defaults.values.emplace(name, std::move(modifier.default_value));
    if (!attribute.defaults.empty()) out.defaults.children.emplace(name, std::move(attribute.defaults));
    types.emplace(std::move(name), std::move(attribute.type));
  }
  out.type = HclType::object(std::move(types), std::move(optional));
  return out;
}

TypeReader::Optional TypeReader::read_optional(const HclExpression& value) {
  Optional out;
  out.type = &value;
  if (value.kind != HclExpressionKind::call || value.name != "optional") return out;
  if (value.items.empty()) {
    fail("Optional attribute modifier requires the attribute type as its argument.", arguments_range(value));
    out.skip = true;
    return out;
  }
  out.optional = true;
  out.type = value.items[0].get();
  if (value.items.size() > 2) {
    fail("Optional attribute modifier expects at most two arguments: the attribute type, and a default value.",
         arguments_range(value));
  } else if (value.items.size() == 2) {
    Diagnostics mistakes;
    out.default_value = evaluate_hcl(*value.items[1], HclScope(), mistakes);
    diagnostics_.append(mistakes);
    failed_ |= mistakes.has_errors();
    if (!mistakes.has_errors()) out.default_expression = value.items[1].get();
  }
  return out;
}

void TypeReader::check_default(Optional& modifier, const HclType& type) {
  if (!modifier.default_expression) return;
  std::string error;
  auto converted = hcl_convert(modifier.default_value, type, &error);
  if (converted) {
    modifier.default_value = std::move(*converted);
    return;
  }
  failed_ = true;
  diagnostics_.error("Invalid default value for optional attribute",
                     "This default value is not compatible with the attribute's type constraint: " + error + ".",
                     modifier.default_expression->range);
  modifier.default_expression = nullptr;
}

// Applying defaults.

HclValue with_defaults(const HclValue& value, const HclType& type, const Defaults& defaults);

/// A part of the value, by its name in an object, or by its place in a tuple; what the type does not look like has the
/// defaults of a collection's element, if any.
HclValue part_with_defaults(const HclValue& part, const HclType& type, const Defaults& defaults,
                            const std::string& key) {
  const HclType* part_type = nullptr;
  bool structure = type.is(HclKind::object) || type.is(HclKind::tuple);
  auto child = defaults.children.find(structure ? key : "");
  if (child == defaults.children.end()) return part;
  if (type.is_collection()) part_type = &type.element();
  if (type.is(HclKind::tuple)) part_type = &type.elements()[static_cast<size_t>(std::stoul(key))];
  if (type.is(HclKind::object)) part_type = &type.attributes().at(key);
  return part_type ? with_defaults(part, *part_type, child->second) : part;
}

/// Converts all to what they have in common; false when that cannot be.
bool convert_to_common(const std::vector<HclValue*>& values, HclType& common) {
  std::vector<HclType> types;
  types.reserve(values.size());
  for (const HclValue* value : values) types.push_back(value->type());
  auto unified = hcl_unify(types, true);
  if (!unified || unified->is_dynamic()) return false;
  std::vector<HclValue> made;
  for (const HclValue* value : values) {
    auto converted = hcl_convert(*value, *unified);
    if (!converted || !(converted->type() == *unified)) return false;
    made.push_back(std::move(*converted));
  }
  for (size_t i = 0; i < made.size(); ++i) *values[i] = std::move(made[i]);
  common = *unified;
  return true;
}

HclValue sequence_with_defaults(const HclValue& value, const HclType& type, const Defaults& defaults) {
  HclValue::Items items;
  items.reserve(value.items().size());
  for (size_t i = 0; i < value.items().size(); ++i) {
    // Only tuples' parts go by their place.
    bool named = type.is(HclKind::object);
    items.push_back(named ? value.items()[i] : part_with_defaults(value.items()[i], type, defaults, std::to_string(i)));
  }
  if (value.type().is(HclKind::tuple)) return HclValue::tuple(std::move(items));
  if (items.empty()) return value;
  std::vector<HclValue*> places;
  for (auto& item : items) places.push_back(&item);
  HclType common;
  if (!convert_to_common(places, common)) return HclValue::tuple(std::move(items));
  if (value.type().is(HclKind::set)) return HclValue::set(std::move(common), std::move(items));
  return HclValue::list(std::move(common), std::move(items));
}

HclValue keyed_with_defaults(const HclValue& value, const HclType& type, const Defaults& defaults) {
  HclValue::Members members;
  for (const auto& [name, member] : value.members()) {
    bool placed = type.is(HclKind::tuple);
    members.emplace_hint(members.end(), name, placed ? member : part_with_defaults(member, type, defaults, name));
  }
  for (const auto& [name, preset] : defaults.values) {
    auto found = members.find(name);
    if (found != members.end() && !found->second.is_null()) continue;
    members.insert_or_assign(name, part_with_defaults(preset, type, defaults, name));
  }
  if (value.type().is(HclKind::object)) return HclValue::object(std::move(members));
  if (members.empty()) return value;
  std::vector<HclValue*> places;
  for (auto& [name, member] : members) places.push_back(&member);
  HclType common;
  if (!convert_to_common(places, common)) return HclValue::object(std::move(members));
  return HclValue::map(std::move(common), std::move(members));
}

HclValue with_defaults(const HclValue& value, const HclType& type, const Defaults& defaults) {
  if (!value.has_content() || defaults.empty()) return value;
  HclValue out = value;
  if (value.type().is_sequence()) out = sequence_with_defaults(value, type, defaults);
  if (value.type().is_keyed()) out = keyed_with_defaults(value, type, defaults);
  return value.sensitive() ? out.with_sensitive() : out;
}

}  // namespace

std::optional<HclTypeConstraint> hcl_type_constraint(const HclExpression& expression, Diagnostics& diagnostics) {
  TypeReader reader(diagnostics);
  HclTypeConstraint out = reader.read(expression);
  if (reader.failed()) return std::nullopt;
  return out;
}

HclValue hcl_apply_defaults(const HclValue& value, const HclTypeConstraint& constraint) {
  return with_defaults(value, constraint.type, constraint.defaults);
}

}  // namespace kiln
