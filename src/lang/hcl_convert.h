// Conversion between HCL types. Source: go-cty's documentation of type conversion, HCL's type constraint extension.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "lang/diagnostic.h"
#include "lang/hcl_ast.h"
#include "lang/hcl_value.h"

namespace kiln {

/// Converts; nullopt and `error` in cty's words ("a number is required", `attribute "a" is required`, ...) when it
/// cannot be. Unsafe conversions (string to number) are tried. Optional attributes of `type` that are missing become
/// null. Marks are kept.
std::optional<HclValue> hcl_convert(const HclValue& value, const HclType& type, std::string* error = nullptr);

/// The type all of them convert to (cty's Unify); nullopt when there is none. `unsafe` allows string to number etc.
std::optional<HclType> hcl_unify(const std::vector<HclType>& types, bool unsafe = false);

/// A type constraint with the defaults of its optional() attributes.
struct HclTypeConstraint {
  HclType type;
  /// Default values by attribute of objects, nested as the type is.
  struct Defaults {
    std::map<std::string, HclValue> values;
    std::map<std::string, Defaults> children;  ///< by attribute; "" for the element of a collection, "0".. of a tuple
    bool empty() const { return values.empty() && children.empty(); }
  };
  Defaults defaults;
};
/// `string`, `list(object({a = optional(string, "x")}))`, ... read from an expression; nullopt after diagnostics.
/// `constraint` allows `any` and optional().
std::optional<HclTypeConstraint> hcl_type_constraint(const HclExpression& expression, Diagnostics& diagnostics);
/// Puts the defaults where attributes are missing or null, before conversion.
HclValue hcl_apply_defaults(const HclValue& value, const HclTypeConstraint& constraint);

}  // namespace kiln
