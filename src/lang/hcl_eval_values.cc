// What the names of an expression mean, as HCL's text writer tells it beside a mistake. Whatever else is known of the
// mistake is in the diagnostic's words; these lines are made when the diagnostic is.
#include <fmt/format.h>

#include <set>
#include <utility>

#include "base/text.h"
#include "lang/hcl_evaluator.h"

namespace kiln {
namespace {

/// Source text that costs one step: an expression is not larger than its text.
constexpr size_t bytes_a_step = 4;

std::string counted(size_t count, const std::string& kind) {
  if (count == 0) return "empty " + kind;
  return count == 1 ? kind + " with 1 element" : fmt::format("{} with {} elements", kind, count);
}

std::string object_text(const HclType::Attributes& attributes) {
  if (attributes.empty()) return "object with no attributes";
  if (attributes.size() == 1) return fmt::format("object with 1 attribute {}", go_quote(attributes.begin()->first));
  return fmt::format("object with {} attributes", attributes.size());
}

/// A known value that is not null, briefly. Of a sensitive one only what it is.
std::string brief_text(const HclValue& value) {
  const HclType& type = value.type();
  switch (type.kind()) {
    case HclType::Kind::string: return value.sensitive() ? "\"<sensitive>\"" : go_quote(value.as_string());
    case HclType::Kind::boolean: return value.sensitive() ? "<sensitive>" : value.as_boolean() ? "true" : "false";
    case HclType::Kind::number: return value.sensitive() ? "<sensitive>" : value.as_number().brief();
    case HclType::Kind::object: return object_text(type.attributes());
    default: return counted(value.length(), type.friendly_name());
  }
}

std::string reference_text(const HclReference& reference) {
  std::string out = reference.root;
  for (const auto& step : reference.steps) {
    if (step.kind == HclStep::Kind::attribute) {
      out += "." + step.name;
    } else if (step.key().is_string()) {
      out += "[" + go_quote(step.key().as_string()) + "]";
    } else {
      auto number = HclNumber::parse(step.key().as_number().text);
      out += "[" + (number ? number->brief() : "...") + "]";
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> HclEvaluator::shown_values(const HclExpression& e, const HclScope& scope) {
  uint64_t cost = 1 + (e.range.end - e.range.begin) / bytes_a_step;
  if (exhausted_at_ || cost > budget_.steps) return {};
  budget_.steps -= cost;
  std::set<std::string> lines;
  std::set<std::string> told;
  bool outer = std::exchange(quiet_, true);
  for (auto& reference : hcl_references(e)) {
    HclExpression name;
    name.kind = Kind::scope;
    name.name = reference.root;
    name.steps = reference.steps;
    name.range = reference.range;
    Diagnostics wrong;
    HclValue meaning = value(name, scope, wrong);
    if (wrong.has_errors() || !meaning.is_known()) continue;
    std::string text = reference_text(reference);
    if (!told.insert(text).second) continue;
    text += meaning.is_null() ? " set to null" : " as " + brief_text(meaning);
    if (text.size() > budget_.bytes) break;
    budget_.bytes -= text.size();
    lines.insert(std::move(text));
  }
  quiet_ = outer;
  return {lines.begin(), lines.end()};
}

}  // namespace kiln
