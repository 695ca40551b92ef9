// Values of HCL expressions: typed, maybe null, maybe unknown, maybe sensitive. Source: go-cty's documentation.
// lang/value.h's Value is what components get; `to_plain_value` goes there.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lang/hcl_number.h"
#include "lang/hcl_type.h"
#include "lang/value.h"

namespace kiln {

/// A value: plain, immutable, cheap to copy (collections share their items). Strings are NFC-normalised UTF-8.
/// Every value has a type; nulls and unknowns have one too (maybe dynamic).
class HclValue {
 public:
  using Items = std::vector<HclValue>;
  using Members = std::map<std::string, HclValue>;

  HclValue() : HclValue(null(HclType::dynamic())) {}
  static HclValue null(HclType type);
  static HclValue unknown(HclType type);
  static HclValue boolean(bool value);
  static HclValue number(HclNumber value);
  static HclValue string(std::string value);  ///< normalises; bytes that are no UTF-8 stay as they are
  /// All items must have `element` as their type; nulls and unknowns of dynamic type are given it.
  static HclValue list(HclType element, Items items);
  /// Removes duplicates and sorts as cty iterates sets; with unknown items the set is unknown as a whole. Marks of
  /// items go to the set.
  static HclValue set(HclType element, Items items);
  static HclValue map(HclType element, Members members);
  static HclValue tuple(Items items);
  static HclValue object(Members members);

  const HclType& type() const { return type_; }
  bool is_null() const { return std::holds_alternative<Null>(data_); }
  bool is_known() const { return !std::holds_alternative<Unknown>(data_); }
  bool is_wholly_known() const;  ///< asked in constant time, as are contains_sensitive() and weight()
  /// Known and not null: it has content.
  bool has_content() const { return is_known() && !is_null(); }

  /// Whether this very value is marked sensitive; collections may hold sensitive items without being so themselves.
  bool sensitive() const { return sensitive_; }
  bool contains_sensitive() const;
  HclValue with_sensitive(bool sensitive = true) const;
  /// The value without any mark, deeply. `found` is set when there was one.
  HclValue unmarked_deep(bool* found = nullptr) const;

  // Content; only with has_content() and the fitting type.
  bool as_boolean() const;
  const HclNumber& as_number() const;
  const std::string& as_string() const;
  const Items& items() const;      ///< list, set, tuple
  const Members& members() const;  ///< map, object
  size_t length() const;           ///< of any collection, tuple or object
  /// Member of a map or object; nullptr when there is none.
  const HclValue* find(std::string_view key) const;

  /// How many values it is when written out, each kilobyte of text counting as one more. Parts are shared, so a value
  /// may weigh far more than it takes in memory; whoever makes values of other values refuses those that weigh too
  /// much, for all that walks them takes that long. What nests deeper than 500 weighs the most there is.
  uint64_t weight() const;

  /// Strict equality of type and content, unknowns equal only to themselves; marks do not count.
  bool raw_equals(const HclValue& other) const;

 private:
  struct Null {};
  struct Unknown {};
  /// What is asked often about all that a collection holds, found once when it is made.
  struct Facts {
    bool wholly_known = true;
    bool contains_sensitive = false;
    uint64_t weight = 1;
    int depth = 1;
    void note(const HclValue& part);
  };
  struct Sequence;
  struct Mapping;
  using Data = std::variant<Null, Unknown, bool, HclNumber, std::shared_ptr<const std::string>,
                            std::shared_ptr<const Sequence>, std::shared_ptr<const Mapping>>;
  static HclValue typed(HclValue item, const HclType& element);
  static HclValue of_items(HclType type, Items items);
  static HclValue of_members(HclType type, Members members);
  const Facts* facts() const;
  HclValue(HclType type, Data data) : type_(std::move(type)), data_(std::move(data)) {}

  HclType type_;
  Data data_;
  bool sensitive_ = false;
};

/// Unicode's normal form C, which all strings and keys of HCL have.
std::string hcl_normalize(std::string text);

/// cty's Equals: unknown where it cannot be told; null equals null of any type.
HclValue hcl_equal(const HclValue& a, const HclValue& b);

/// The value as components take it. Sensitive strings are marked secret, unknown values stay unknown, sets and tuples
/// are lists, maps and objects are objects; every part has `range` as its place.
Value to_plain_value(const HclValue& value, const SourceRange& range);
/// The other way, with the types that HCL gives to literals (tuple, object). Numbers are parsed; secret is kept.
HclValue from_plain_value(const Value& value);

/// All strings marked sensitive within the value and, when the value itself is marked, all strings in it.
void collect_sensitive_strings(const HclValue& value, std::vector<std::string>& out);

}  // namespace kiln
