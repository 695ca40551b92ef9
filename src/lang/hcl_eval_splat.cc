// Splat expressions: "x[*].name" and "x.*.name".
#include <utility>

#include "lang/hcl_evaluator.h"

namespace kiln {

/// One item through what follows the star.
HclValue HclEvaluator::splat_each(const HclExpression& e, HclValue item, const HclScope& scope,
                                  Diagnostics& diagnostics) {
  if (!e.items[1]) return item;
  const HclValue* outer = std::exchange(splat_item_, &item);
  HclValue result = value(*e.items[1], scope, diagnostics);
  splat_item_ = outer;
  return result;
}

/// The type that the result would have, for a sequence of this type whose items are not known.
HclType HclEvaluator::splat_type(const HclExpression& e, const HclType& source, const HclScope& scope,
                                 Diagnostics& diagnostics) {
  if (!source.is(HclType::Kind::tuple)) {
    return HclType::list(splat_each(e, HclValue::unknown(source.element()), scope, diagnostics).type());
  }
  std::vector<HclType> types;
  for (const auto& element : source.elements()) {
    if (!spend(e, 1, sizeof(HclValue))) break;
    types.push_back(splat_each(e, HclValue::unknown(element), scope, diagnostics).type());
  }
  return HclType::tuple(std::move(types));
}

HclValue HclEvaluator::splat(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  Diagnostics found;
  HclValue source = value(*e.items[0], scope, found);
  diagnostics.append(found);
  HclValue unknown = HclValue::unknown(HclType::dynamic());
  if (found.has_errors()) return unknown;
  bool sensitive = source.sensitive();
  bool single = !source.type().is_sequence();
  if (source.is_null()) {
    if (single) return hcl_marked(HclValue::tuple({}), sensitive);
    fail(diagnostics, "Splat of null value",
         "Splat expressions (with the * symbol) cannot be applied to null sequences.", {*e.items[0], scope});
    return unknown;
  }
  if (source.type().is_dynamic()) return hcl_marked(unknown, sensitive);
  // One value that may yet turn out to be null has no known number of items; it is looked at for its mistakes only.
  bool maybe_null = single && !source.is_known();
  if (single) source = HclValue::tuple({source.with_sensitive(sensitive)});
  if (!source.is_known()) {
    return hcl_marked(kept(e, HclValue::unknown(splat_type(e, source.type(), scope, diagnostics))), sensitive);
  }
  HclValue::Items items;
  items.reserve(source.items().size());
  Diagnostics wrong;
  for (const auto& item : source.items()) {
    if (!spend(e, 1, sizeof(HclValue))) return unknown;
    items.push_back(splat_each(e, item, scope, wrong));
  }
  diagnostics.append(wrong);
  if (maybe_null) return hcl_marked(unknown, sensitive);
  if (wrong.has_errors()) {
    Diagnostics same;
    return hcl_marked(kept(e, HclValue::unknown(splat_type(e, source.type(), scope, same))), sensitive);
  }
  HclValue result = source.type().is(HclType::Kind::tuple)
                        ? HclValue::tuple(std::move(items))
                        : splat_list(e, source.type(), std::move(items), scope, diagnostics);
  return hcl_marked(kept(e, std::move(result)), sensitive);
}

/// Items of a list or set stay a list, for which they must have one type.
HclValue HclEvaluator::splat_list(const HclExpression& e, const HclType& source, HclValue::Items items,
                                  const HclScope& scope, Diagnostics& diagnostics) {
  if (items.empty()) return HclValue::list(splat_type(e, source, scope, diagnostics).element(), {});
  HclType element;
  for (const auto& item : items) {
    if (element.is_dynamic()) {
      element = item.type();
    } else if (!item.type().is_dynamic() && !(item.type() == element)) {
      fail(diagnostics, "Invalid nested splat expressions",
           "The second level of splat expression produced elements of different types, so it isn't possible to "
           "construct a valid list to represent the top-level result.\n\nConsider using a for expression instead, to "
           "produce a tuple-typed result which can therefore have non-homogenous element types.",
           e.items[1] ? e.items[1]->range : e.range);
      return HclValue::unknown(HclType::dynamic());
    }
  }
  for (auto& item : items) {
    if (!item.type().is_dynamic() || element.is_dynamic()) continue;
    item = hcl_marked(item.is_null() ? HclValue::null(element) : HclValue::unknown(element), item.sensitive());
  }
  return HclValue::list(std::move(element), std::move(items));
}

}  // namespace kiln
