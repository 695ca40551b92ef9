// "[for ...]", "{for ...}" and the template directive "%{for ...}".
#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_evaluator.h"

namespace kiln {

/// A loop over a collection while it runs.
struct HclEvaluator::Loop {
  HclScope scope;  ///< the loop's variables, over the outer scope
  HclValue* key = nullptr;
  HclValue* item = nullptr;
  HclValue collection;
  bool sensitive = false;  ///< the collection, a condition or a key was
  bool known = true;       ///< no condition or key was unknown or wrong so far
  bool makes_object = false;

  Loop(const HclExpression& e, const HclScope& outer) {
    scope.parent = &outer;
    item = &scope.variables[e.value_name()];
    if (!e.name.empty() && e.name != e.value_name()) key = &scope.variables[e.name];
  }
  Loop(const Loop&) = delete;

  HclValue unknown() const { return hcl_marked(HclValue::unknown(HclType::dynamic()), sensitive); }
};

/// Evaluates what is gone through; false when there is nothing to go through (the result is loop.unknown()).
bool HclEvaluator::loop_source(const HclExpression& e, const HclExpression* condition, const HclScope& scope,
                               Loop& loop, Diagnostics& diagnostics) {
  const HclExpression& source = *e.items[0];
  loop.collection = value(source, scope, diagnostics);
  loop.sensitive = loop.collection.sensitive();
  const HclType& type = loop.collection.type();
  if (loop.collection.is_null()) {
    fail(diagnostics, "Iteration over null value",
         "A null value cannot be used as the collection in a 'for' expression.", {source, scope});
    return false;
  }
  if (type.is_dynamic()) return false;
  if (type.is_primitive()) {
    fail(diagnostics, "Iteration over non-iterable value",
         fmt::format("A value of type {} cannot be used as the collection in a 'for' expression.",
                     type.friendly_name()),
         {source, scope});
    return false;
  }
  if (condition && !loop_condition_type(e, *condition, loop, diagnostics)) return false;
  return loop.collection.is_known();
}

/// Looks once at the condition without an item, so that what is wrong in any case is said once.
bool HclEvaluator::loop_condition_type(const HclExpression& e, const HclExpression& condition, Loop& loop,
                                       Diagnostics& diagnostics) {
  if (!spend(e, 1)) return false;
  *loop.item = HclValue::unknown(HclType::dynamic());
  if (loop.key) *loop.key = HclValue::unknown(HclType::dynamic());
  Diagnostics found;
  HclValue result = value(condition, loop.scope, found);
  std::string error;
  if (result.is_null()) {
    fail(found, "Condition is null", "The value of the 'if' clause must not be null.", {condition, *loop.scope.parent});
  } else if (!hcl_convert(result, HclType::boolean(), &error)) {
    fail(found, "Invalid 'for' condition", fmt::format("The 'if' clause value is invalid: {}.", error),
         {condition, *loop.scope.parent});
  }
  diagnostics.append(found);
  if (!loop.collection.is_known()) loop.sensitive = loop.sensitive || result.sensitive();
  return !found.has_errors();
}

template <class Body>
void HclEvaluator::iterate(const HclExpression& e, Loop& loop, Body&& body) {
  const HclValue collection = loop.collection;
  auto visit = [&](HclValue key, const HclValue& item) {
    if (!spend(e, 1)) return false;
    if (loop.key) *loop.key = std::move(key);
    *loop.item = item;
    body();
    return true;
  };
  if (collection.type().is_keyed()) {
    for (const auto& [name, member] : collection.members()) {
      if (!visit(loop.key ? HclValue::string(name) : HclValue(), member)) return;
    }
    return;
  }
  bool is_set = collection.type().is(HclType::Kind::set);
  int64_t at = 0;
  for (const auto& item : collection.items()) {
    HclValue key;
    if (loop.key) key = is_set ? item : HclValue::number(HclNumber(at));
    ++at;
    if (!visit(std::move(key), item)) return;
  }
}

/// Whether the "if" clause takes the item.
bool HclEvaluator::included(const HclExpression& condition, Loop& loop, Diagnostics& diagnostics) {
  HclValue result = value(condition, loop.scope, diagnostics);
  // What follows from an earlier unknown is not told again.
  bool tell = loop.known;
  auto refuse = [&](std::string detail) {
    if (tell) fail(diagnostics, "Invalid 'for' condition", std::move(detail), {condition, loop.scope});
    loop.known = false;
    return false;
  };
  if (result.is_null()) return refuse("The value of the 'if' clause must not be null.");
  loop.sensitive = loop.sensitive || result.sensitive();
  if (!loop.makes_object && !result.is_known()) {
    loop.known = false;
    return false;
  }
  std::string error;
  auto truth = hcl_convert(result, HclType::boolean(), &error);
  if (!truth) return refuse(fmt::format("The 'if' clause value is invalid: {}.", error));
  if (!truth->is_known()) {
    loop.known = false;
    return false;
  }
  return truth->as_boolean();
}

/// The key of an item of "{for ...}"; nullopt when it is not known (or wrong).
std::optional<std::string> HclEvaluator::loop_key(const HclExpression& key, Loop& loop, Diagnostics& diagnostics) {
  HclValue result = value(key, loop.scope, diagnostics);
  bool tell = std::exchange(loop.known, false);
  if (result.is_null()) {
    if (tell) {
      fail(diagnostics, "Invalid object key", "Key expression in 'for' expression must not produce a null value.",
           {key, loop.scope});
    }
    return std::nullopt;
  }
  loop.sensitive = loop.sensitive || result.sensitive();
  if (!result.is_known()) return std::nullopt;
  std::string error;
  auto name = hcl_convert(result, HclType::string(), &error);
  if (!name) {
    if (tell) {
      fail(diagnostics, "Invalid object key",
           fmt::format("The key expression produced an invalid result: {}.", error), {key, loop.scope});
    }
    return std::nullopt;
  }
  loop.known = tell;
  return name->as_string();
}

HclValue HclEvaluator::for_tuple(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  const HclExpression* condition = e.items[2].get();
  Loop loop(e, scope);
  if (!loop_source(e, condition, scope, loop, diagnostics)) return loop.unknown();
  HclValue::Items items;
  iterate(e, loop, [&] {
    if (condition && !included(*condition, loop, diagnostics)) return;
    if (!spend(e, 0, sizeof(HclValue))) return;
    items.push_back(value(*e.items[1], loop.scope, diagnostics));
  });
  if (!loop.known) return loop.unknown();
  return hcl_marked(kept(e, HclValue::tuple(std::move(items))), loop.sensitive);
}

HclValue HclEvaluator::for_object(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  const HclExpression* condition = e.items[3].get();
  Loop loop(e, scope);
  loop.makes_object = true;
  if (!loop_source(e, condition, scope, loop, diagnostics)) return loop.unknown();
  HclValue::Members members;
  std::map<std::string, HclValue::Items> groups;
  iterate(e, loop, [&] {
    if (condition && !included(*condition, loop, diagnostics)) return;
    auto name = loop_key(*e.items[1], loop, diagnostics);
    if (!name || !spend(e, 0, sizeof(HclValue) + name->size())) return;
    HclValue item = value(*e.items[2], loop.scope, diagnostics);
    if (e.expands) {
      groups[*name].push_back(std::move(item));
    } else if (!members.emplace(*name, std::move(item)).second) {
      fail(diagnostics, "Duplicate object key",
           fmt::format("Two different items produced the key {} in this 'for' expression. If duplicates are expected, "
                       "use the ellipsis (...) after the value expression to enable grouping by key.",
                       go_quote(*name)),
           {*e.items[1], loop.scope});
    }
  });
  if (!loop.known) return loop.unknown();
  for (auto& [name, items] : groups) members.emplace(name, HclValue::tuple(std::move(items)));
  return hcl_marked(kept(e, HclValue::object(std::move(members))), loop.sensitive);
}

/// The body's texts, one behind the other.
HclValue HclEvaluator::template_for(const HclExpression& e, const HclScope& scope, Diagnostics& diagnostics) {
  const HclValue unknown = HclValue::unknown(HclType::string());
  Loop loop(e, scope);
  if (!loop_source(e, nullptr, scope, loop, diagnostics)) return hcl_marked(unknown, loop.sensitive);
  std::string text;
  iterate(e, loop, [&] {
    HclValue part = value(*e.items[1], loop.scope, diagnostics);
    loop.sensitive = loop.sensitive || part.sensitive();
    if (!part.has_content()) {
      loop.known = false;
    } else if (part.type().is(HclType::Kind::string) && spend(e, 0, part.as_string().size())) {
      text += part.as_string();
    }
  });
  if (!loop.known) return hcl_marked(unknown, loop.sensitive);
  return hcl_marked(kept(e, HclValue::string(std::move(text))), loop.sensitive);
}

}  // namespace kiln
