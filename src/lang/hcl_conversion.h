// Which types of HCL convert to which, and what types have in common. Internal to lang: hcl_convert.h is for others.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lang/hcl_type.h"

namespace kiln {

using HclKind = HclType::Kind;

/// Rules between types. Counts its steps: types nested on purpose could take exponential time; past a limit nothing
/// converts any more.
class HclConversions {
 public:
  /// Is there a conversion between two types that are not equal? A safe one always succeeds; an unsafe one depends on
  /// the value (string to number).
  bool possible(const HclType& from, const HclType& to, bool unsafe);
  /// Equal, or possible.
  bool equal_or_possible(const HclType& from, const HclType& to, bool unsafe);
  /// The type that all convert to.
  std::optional<HclType> unify(const std::vector<HclType>& types, bool unsafe);
  /// `to` with what is dynamic in it replaced by what converting from `from` makes of it.
  HclType without_dynamic(const HclType& from, const HclType& to);
  /// Why one does not convert to the other, for people.
  std::string mismatch(const HclType& from, const HclType& to);

 private:
  bool out_of_steps() { return ++steps_ > max_steps; }
  std::vector<HclType> distinct(const std::vector<HclType>& types);
  bool structure_to_collection(const std::vector<HclType>& parts, const HclType& to, bool unsafe);
  bool object_to_object(const HclType& from, const HclType& to, bool unsafe);
  bool tuple_to_tuple(const HclType& from, const HclType& to, bool unsafe);
  bool map_to_object(const HclType& from, const HclType& to, bool unsafe);
  bool all_convert(const std::vector<HclType>& types, const HclType& to, bool unsafe);

  std::optional<HclType> unify_same_kind(const std::vector<HclType>& types, bool unsafe, bool& decided);
  std::optional<HclType> unify_collections(const std::vector<HclType>& types, bool unsafe);
  std::optional<HclType> unify_objects(const std::vector<HclType>& types, bool unsafe);
  std::optional<HclType> unify_tuples(const std::vector<HclType>& types, bool unsafe);
  std::optional<HclType> unify_as_collection(const std::vector<HclType>& types, HclType::Kind kind, bool unsafe);
  std::optional<HclType> unify_mixed(const std::vector<HclType>& types, HclType::Kind kind, bool unsafe);
  std::optional<HclType> unify_by_preference(const std::vector<HclType>& types, bool unsafe);
  int preference(const HclType& a, const HclType& b);

  std::string mismatch_of_objects(const HclType& from, const HclType& to);
  std::string mismatch_of_elements(const HclType& from, const HclType& to);
  std::string mismatch_of_collections(const HclType& from, const HclType& to);

  static constexpr uint64_t max_steps = 20'000'000;
  uint64_t steps_ = 0;
};

/// The types of a tuple's items or an object's attributes, in order.
std::vector<HclType> hcl_part_types(const HclType& structure);

}  // namespace kiln
