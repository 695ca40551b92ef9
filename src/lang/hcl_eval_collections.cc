// "[a, b]" and "{k = v}".
#include <fmt/format.h>

#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_evaluator.h"
#include "lang/hcl_json.h"

namespace kiln {

HclValue HclEvaluator::tuple(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  if (!spend(e, 0, sizeof(HclValue) * e.items.size())) return HclValue::unknown(HclType::dynamic());
  HclValue::Items items;
  items.reserve(e.items.size());
  for (const auto& item : e.items) items.push_back(value(*item, scope, diagnostics));
  return kept(e, HclValue::tuple(std::move(items)));
}

HclValue HclEvaluator::object(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  HclValue unknown = HclValue::unknown(HclType::dynamic());
  if (!spend(e, 0, sizeof(HclValue) * e.items.size())) return unknown;
  HclValue::Members members;
  std::map<std::string, SourceRange> places;  // JSON: keys must differ
  bool known = true;
  bool sensitive = false;
  for (size_t i = 0; i + 1 < e.items.size(); i += 2) {
    const HclExpression& key_expression = *e.items[i];
    Diagnostics found;
    HclValue key;
    bool ambiguous = key_expression.kind == Kind::scope && !key_expression.steps.empty();
    if (ambiguous) {
      fail(found, "Ambiguous attribute key",
           "If this expression is intended to be a reference, wrap it in parentheses. If it's instead intended as a "
           "literal name containing periods, wrap it in quotes to create a string literal.",
           key_expression.range);
    } else if (key_expression.kind == Kind::literal && key_expression.value.is_null()) {
      key = HclValue::string("null");  // a bare word is a name, this one too
    } else {
      key = value(key_expression, scope, found);
    }
    diagnostics.append(found);
    HclValue member = value(*e.items[i + 1], scope, diagnostics);
    auto name = found.has_errors()
                    ? std::nullopt
                    : object_key(key_expression, key, {*e.items[i + (e.json ? 1 : 0)], scope}, diagnostics);
    sensitive = sensitive || key.sensitive();
    if (name && e.json) {
      auto [first, is_new] = places.emplace(*name, key_expression.range);
      if (!is_new) {
        fail(diagnostics, "Duplicate object attribute",
             fmt::format("An attribute named {} was already defined at {}.", go_quote(*name), hcl_place(first->second)),
             {key_expression.range, e, scope});
      }
    }
    if (name) members.insert_or_assign(std::move(*name), std::move(member));
    else known = false;
  }
  if (!known) return hcl_marked(unknown, sensitive);
  return hcl_marked(kept(e, HclValue::object(std::move(members))), sensitive);
}

std::optional<std::string> HclEvaluator::object_key(const HclExpression& key, const HclValue& value,
                                                    const HclFault& at, Diagnostics& diagnostics) {
  HclFault fault{key.range, *at.shown, *at.scope};
  if (value.is_null()) {
    if (key.json) fail(diagnostics, "Invalid object key expression", "Cannot use null value as an object key.", fault);
    else fail(diagnostics, "Null value as key", "Can't use a null value as a key.", fault);
    return std::nullopt;
  }
  std::string error;
  auto name = hcl_convert(value, HclType::string(), &error);
  if (!name) {
    if (key.json) {
      fail(diagnostics, "Invalid object key expression",
           fmt::format("Cannot use this expression as an object key: {}.", error), fault);
    } else {
      fail(diagnostics, "Incorrect key type", fmt::format("Can't use this value as a key: {}.", error), fault);
    }
    return std::nullopt;
  }
  if (!name->is_known()) return std::nullopt;
  return name->as_string();
}

}  // namespace kiln
