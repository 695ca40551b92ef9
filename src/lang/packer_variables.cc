// The values of a legacy template's variables (packer-surface 3.4).
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "lang/packer_json.h"

namespace kiln {
namespace {

constexpr int max_variable_passes = 100;
constexpr std::string_view not_set = "Error: variable not set: ";

struct RawVariable {
  std::string name;
  std::string text;
  SourceRange range;
};

/// Packer takes a value for finished unless it still holds a user call with a back-quoted name.
bool calls_user(const std::string& text) {
  static const RE2 pattern("{{\\s*user\\s*`.*?`\\s*}}");
  return RE2::PartialMatch(text, pattern);
}

class VariableResolver {
 public:
  VariableResolver(const TemplateScope& scope, Diagnostics& diagnostics) : scope_(scope), diagnostics_(diagnostics) {
    scope_.user_variables.clear();
    scope_.keep_dot_actions = true;
    scope_.functions["user"] = [this](const std::vector<std::string>& names) {
      if (names.size() != 1) {
        throw Error(ErrorKind::user, fmt::format("wrong number of args for user: want 1 got {}", names.size()));
      }
      auto found = values_.find(names[0]);
      if (found != values_.end()) return found->second;
      throw Error(ErrorKind::user, std::string(not_set) + names[0] +
                                       ": Please make sure that the variable you're referencing has been defined; "
                                       "Packer treats all variables used to interpolate other user variables as "
                                       "required.");
    };
  }

  /// Passes over what is left until nothing changes; one variable may need the value of any other.
  /// `missing` are required ones without a value: told already, so what needs them is passed over in silence.
  void resolve(std::vector<RawVariable> left, std::set<std::string> missing) {
    for (const auto& variable : left) names_.push_back(variable.name);
    for (int pass = 0; pass < max_variable_passes && !left.empty(); ++pass) {
      bool progress = false;
      std::vector<RawVariable> again;
      for (auto& variable : left) {
        Rendered rendered = render_template_once(variable.text, scope_);
        if (!rendered.ok()) {
          auto wanted = missing_name(*rendered.error);
          if (!wanted) {
            report(variable, *rendered.error);
            missing.insert(variable.name);
          } else if (missing.count(*wanted)) {
            missing.insert(variable.name);
          } else {
            again.push_back(std::move(variable));
            continue;
          }
          progress = true;
          continue;
        }
        progress = true;
        if (!calls_user(rendered.text)) {
          values_[variable.name] = std::move(rendered.text);
          continue;
        }
        variable.text = std::move(rendered.text);
        again.push_back(std::move(variable));
      }
      left = std::move(again);
      if (!progress) break;
    }
    for (const auto& variable : left) report_unresolved(variable);
  }

  std::map<std::string, std::string> values_;

 private:
  /// The variable that an error of `user` asks for.
  static std::optional<std::string> missing_name(const std::string& error) {
    size_t at = error.find(not_set);
    if (at == std::string::npos) return std::nullopt;
    std::string name = error.substr(at + not_set.size());
    return name.substr(0, name.find(": Please make sure"));
  }

  void report(const RawVariable& variable, const std::string& error) {
    if (validate_template(variable.text, scope_)) {
      diagnostics_.error(fmt::format("error interpolating default value for '{}': {}", variable.name, error), "",
                         variable.range);
    } else {
      diagnostics_.error(error, "", variable.range,
                         fmt::format("This is the value of the variable \"{}\".", variable.name));
    }
  }

  void report_unresolved(const RawVariable& variable) {
    Rendered rendered = render_template_once(variable.text, scope_);
    std::string error = rendered.error.value_or("it refers to itself");
    std::string hint;
    if (auto wanted = missing_name(error)) {
      const std::string& missing = *wanted;
      bool defined = std::count(names_.begin(), names_.end(), missing) > 0;
      auto nearest = nearest_name(missing, names_);
      if (missing == variable.name) hint = "The variable refers to itself.";
      else if (defined) hint = fmt::format("\"{}\" could not be worked out either: look for a circle.", missing);
      else if (nearest) hint = fmt::format("Did you mean \"{}\"?", *nearest);
    }
    diagnostics_.error(fmt::format("Failed to interpolate \"{}\": {}; error: {}", variable.name,
                                   "\"" + variable.text + "\"", error),
                       "", variable.range, hint);
  }

  TemplateScope scope_;
  Diagnostics& diagnostics_;
  std::vector<std::string> names_;
};

}  // namespace

std::map<std::string, std::string> resolve_variables(const Template& parsed,
                                                     const std::map<std::string, std::string>& given,
                                                     const TemplateScope& scope, Diagnostics& diagnostics) {
  std::map<std::string, RawVariable> raw;
  std::set<std::string> missing;
  for (const auto& variable : parsed.variables) {
    if (given.count(variable.name)) continue;
    if (!variable.default_value) {
      diagnostics.error("required variable not set: " + variable.name, "", variable.range,
                        fmt::format("Give it by -var '{}=...' or in a variable file.", variable.name));
      missing.insert(variable.name);
      continue;
    }
    raw[variable.name] = {variable.name, variable.default_value->as_string(), variable.default_value->range};
  }
  for (const auto& [name, text] : given) raw[name] = {name, text, {}};
  std::vector<RawVariable> ordered;
  ordered.reserve(raw.size());
  for (auto& [name, variable] : raw) ordered.push_back(std::move(variable));
  VariableResolver resolver(scope, diagnostics);
  resolver.resolve(std::move(ordered), std::move(missing));
  return resolver.values_;
}

}  // namespace kiln
