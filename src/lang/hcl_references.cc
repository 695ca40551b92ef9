// What an expression refers to, told without evaluating it.
#include <algorithm>

#include "lang/hcl_eval.h"

namespace kiln {
namespace {

/// Visits a tree with the names that its loops bind.
class HclReferenceWalk {
 public:
  std::vector<HclReference> references;
  std::vector<std::string> functions;

  void visit(const HclExpression& e) {
    switch (e.kind) {
      case HclExpressionKind::scope:
        if (std::find(bound_.begin(), bound_.end(), e.name) == bound_.end()) {
          references.push_back({e.name, e.steps, e.range});
        }
        return;
      case HclExpressionKind::call:
        functions.push_back(e.name);
        visit_from(e, 0);
        return;
      case HclExpressionKind::for_tuple:
      case HclExpressionKind::for_object:
      case HclExpressionKind::template_for:
        visit(*e.items[0]);
        within({e.name, e.value_name()}, e, 1);
        return;
      case HclExpressionKind::bound: {
        std::vector<std::string> names;
        if (e.bindings()) {
          for (const auto& [name, value] : e.bindings()->variables) names.push_back(name);
        }
        within(std::move(names), e, 0);
        return;
      }
      default: visit_from(e, 0);
    }
  }

 private:
  void visit_from(const HclExpression& e, size_t first) {
    for (size_t i = first; i < e.items.size(); ++i) {
      if (e.items[i]) visit(*e.items[i]);
    }
  }
  void within(std::vector<std::string> names, const HclExpression& e, size_t first) {
    size_t outer = bound_.size();
    for (auto& name : names) {
      if (!name.empty()) bound_.push_back(std::move(name));
    }
    visit_from(e, first);
    bound_.resize(outer);
  }

  std::vector<std::string> bound_;
};

}  // namespace

std::vector<HclReference> hcl_references(const HclExpression& expression) {
  HclReferenceWalk walk;
  walk.visit(expression);
  return std::move(walk.references);
}

std::vector<std::string> hcl_called_functions(const HclExpression& expression) {
  HclReferenceWalk walk;
  walk.visit(expression);
  return std::move(walk.functions);
}

std::optional<HclReference> hcl_as_reference(const HclExpression& expression) {
  if (expression.json) {
    auto text = parse_hcl_json_static(expression);
    return text ? hcl_as_reference(*text) : std::nullopt;
  }
  switch (expression.kind) {
    case HclExpressionKind::scope: return HclReference{expression.name, expression.steps, expression.range};
    case HclExpressionKind::traversal: {
      auto base = hcl_as_reference(*expression.items[0]);
      if (!base) return std::nullopt;
      base->steps.insert(base->steps.end(), expression.steps.begin(), expression.steps.end());
      base->range = expression.range;
      return base;
    }
    case HclExpressionKind::literal:
      // Where a reference is wanted these words are names.
      if (expression.value.is_null()) return HclReference{"null", {}, expression.range};
      if (expression.value.kind() != Value::Kind::boolean) return std::nullopt;
      return HclReference{expression.value.as_bool() ? "true" : "false", {}, expression.range};
    case HclExpressionKind::bound: return hcl_as_reference(*expression.items[0]);
    default: return std::nullopt;
  }
}

}  // namespace kiln
