// Types of HCL values. Source: go-cty's documentation of types; names as it shows them to people.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace kiln {

/// A type: a plain value, cheap to copy (structure is shared and immutable).
class HclType {
 public:
  enum class Kind { dynamic, boolean, number, string, list, set, map, tuple, object };
  using Attributes = std::map<std::string, HclType>;

  HclType() = default;  ///< dynamic: "any", not known yet
  static HclType dynamic() { return {}; }
  static HclType boolean() { return HclType(Kind::boolean); }
  static HclType number() { return HclType(Kind::number); }
  static HclType string() { return HclType(Kind::string); }
  static HclType list(HclType element);
  static HclType set(HclType element);
  static HclType map(HclType element);
  static HclType tuple(std::vector<HclType> elements);
  /// `optional` names attributes that may be missing before conversion (type constraints only).
  static HclType object(Attributes attributes, std::set<std::string> optional = {});

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_dynamic() const { return kind_ == Kind::dynamic; }
  bool is_primitive() const { return is(Kind::boolean) || is(Kind::number) || is(Kind::string); }
  bool is_collection() const { return is(Kind::list) || is(Kind::set) || is(Kind::map); }
  bool is_sequence() const { return is(Kind::list) || is(Kind::set) || is(Kind::tuple); }
  bool is_keyed() const { return is(Kind::map) || is(Kind::object); }

  const HclType& element() const;                  ///< of list, set, map
  const std::vector<HclType>& elements() const;    ///< of tuple
  const Attributes& attributes() const;            ///< of object
  const std::set<std::string>& optional() const;   ///< of object
  /// Whether "any" occurs anywhere in it.
  bool has_dynamic() const;
  /// How many types it is when written out; parts are shared, so it may take far less memory. See HclValue::weight().
  uint64_t weight() const;
  /// The same type with no optional attributes anywhere: what a converted value has.
  HclType without_optional() const;

  bool operator==(const HclType& other) const;
  /// As cty shows the type of a value: "string", "list of string", "object", "tuple", "dynamic".
  std::string friendly_name() const;
  /// The same where a type is asked for: "any type" for "dynamic", "list of any single type".
  std::string friendly_constraint() const;
  /// As HCL writes it: "list(string)", "object({a=string})".
  std::string text() const;

 private:
  struct Parts;
  explicit HclType(Kind kind) : kind_(kind) {}
  HclType(Kind kind, std::shared_ptr<const Parts> parts) : kind_(kind), parts_(std::move(parts)) {}

  Kind kind_ = Kind::dynamic;
  std::shared_ptr<const Parts> parts_;
};

}  // namespace kiln
