// Values of input variables: environment, files, command line; validation rules (packer-surface 1.7, 5.3).
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/text.h"
#include "lang/hcl_body.h"
#include "lang/hcl_json.h"
#include "lang/packer_hcl.h"
#include "lang/packer_hcl_internal.h"

namespace kiln {

namespace {

std::vector<std::string> variable_names(const PackerHcl& config) {
  std::vector<std::string> names;
  for (const auto& variable : config.variables) names.push_back(variable.name);
  return names;
}

std::string did_you_mean(const std::string& name, const std::vector<std::string>& names) {
  auto nearest = nearest_name(name, names);
  return nearest ? fmt::format("Did you mean {}?", go_quote(*nearest)) : "";
}

/// Assigns values from the outside to declared variables.
class VariableCollector {
 public:
  VariableCollector(PackerHcl& config, const HclVariableInput& input, Diagnostics& diagnostics)
      : config_(config), input_(input), diagnostics_(diagnostics) {}

  void collect() {
    for (auto& variable : config_.variables) {
      variable.value = variable.default_value;
      if (variable.value) variable.source = HclValueSource::default_value;
    }
    for (const auto& [name, text] : input_.environment) from_environment(name, text);
    for (const auto& file : input_.files) from_file(file);
    for (const auto& [name, text] : input_.command_line) from_command_line(name, text);
  }

 private:
  /// Text is taken literally where a string would do; for any other type it is an expression.
  static bool takes_text(const HclVariable& variable) {
    const HclType& type = variable.constraint.type;
    return type.is_dynamic() || type.is(HclType::Kind::string) || type.is(HclType::Kind::number);
  }

  std::optional<HclValue> parse_text(const HclVariable& variable, const std::string& text, const std::string& shown) {
    if (takes_text(variable)) return HclValue::string(text);
    auto file = std::make_shared<SourceFile>(SourceFile{shown, text});
    Diagnostics found;
    HclExpressionPtr expression = parse_hcl_expression(file, found);
    if (expression && !found.has_errors()) {
      HclScope scope;
      HclValue value = evaluate_hcl(*expression, scope, found);
      if (!found.has_errors()) return value;
    }
    diagnostics_.append(found);
    return std::nullopt;
  }

  void report_unfit(const HclVariable& variable, HclValueSource source, const std::string& why,
                    const SourceRange& range) {
    bool command_line = source == HclValueSource::cmd;
    diagnostics_.error(command_line ? "Invalid argument value for -var variable" : "Invalid value for variable",
                       fmt::format("The {} for {} is not compatible with the variable's type constraint: {}.",
                                   command_line ? "received arg value" : "value", variable.name, why),
                       range);
  }

  void assign(HclVariable& variable, const HclValue& given, HclValueSource source, const SourceRange& range) {
    HclValue value = given;
    if (variable.typed) {
      std::string why;
      auto converted = hcl_convert(hcl_apply_defaults(value, variable.constraint), variable.constraint.type, &why);
      if (!converted) {
        report_unfit(variable, source, why, range);
        return;
      }
      value = *converted;
    }
    variable.value = value;
    variable.source = source;
    variable.value_range = range;
  }

  void from_environment(const std::string& name, const std::string& text) {
    HclVariable* variable = config_.find_variable(name);
    if (!variable) return;
    std::string shown = fmt::format("<value for var.{} from env>", name);
    auto value = parse_text(*variable, text, shown);
    if (value) assign(*variable, *value, HclValueSource::env, whole_text(shown, text));
  }

  void from_command_line(const std::string& name, const std::string& text) {
    HclVariable* variable = config_.find_variable(name);
    if (!variable) {
      diagnostics_.error("Undefined -var variable",
                         fmt::format("A {} variable was passed in the command line but was not found in known "
                                     "variables. To declare variable {}, place this block in one of your .pkr files, "
                                     "such as variables.pkr.hcl",
                                     go_quote(name), go_quote(name)),
                         {}, did_you_mean(name, variable_names(config_)));
      return;
    }
    std::string shown = fmt::format("<value for var.{} from arguments>", name);
    auto value = parse_text(*variable, text, shown);
    if (value) assign(*variable, *value, HclValueSource::cmd, whole_text(shown, text));
  }

  static SourceRange whole_text(const std::string& shown, const std::string& text) {
    auto file = std::make_shared<SourceFile>(SourceFile{shown, text});
    return {file, 0, text.size()};
  }

  void from_file(const std::shared_ptr<const SourceFile>& file) {
    Diagnostics found;
    HclBody body = file->name.ends_with(".json") ? parse_hcl_json(file, found) : parse_hcl(file, found);
    diagnostics_.append(found);
    if (found.has_errors()) return;
    if (!body.json && has_declaration(body)) return;
    for (const auto& attribute : hcl_just_attributes(body, diagnostics_)) from_attribute(attribute);
  }

  bool has_declaration(const HclBody& body) {
    bool any = false;
    for (const auto& block : body.blocks()) {
      if (block.type != "variable") continue;
      any = true;
      std::string name = block.labels.empty() ? "name" : block.labels[0].text;
      diagnostics_.error(
          "Variable declaration in a .pkrvar file",
          fmt::format("A .pkrvar file is used to assign values to variables that have already been "
                      "declared in .pkr files, not to declare new variables. To declare variable {}, "
                      "place this block in one of your .pkr files, such as variables.pkr.hcl\n\nTo "
                      "set a value for this variable in {}, use the definition syntax instead:\n    {} = <value>",
                      go_quote(name), block.type_range.file->name, name),
          block.header);
    }
    return any;
  }

  void from_attribute(const HclAttribute& attribute) {
    HclVariable* variable = config_.find_variable(attribute.name);
    if (!variable) {
      if (!input_.warn_undeclared) return;
      diagnostics_.warning("Undefined variable",
                           fmt::format("The variable {} was set but was not declared as an input variable.\nTo declare "
                                       "variable {} place this block in one of your .pkr.hcl files, such as "
                                       "variables.pkr.hcl\n\nvariable {} {{\n  type    = string\n  default = null\n}}",
                                       go_quote(attribute.name), go_quote(attribute.name), go_quote(attribute.name)),
                           attribute.range, did_you_mean(attribute.name, variable_names(config_)));
      return;
    }
    HclScope scope;
    Diagnostics found;
    HclValue value = evaluate_hcl(*attribute.expression.tree(), scope, found);
    diagnostics_.append(found);
    if (found.has_errors()) return;
    assign(*variable, value, HclValueSource::varfile, attribute.expression.range());
  }

  PackerHcl& config_;
  const HclVariableInput& input_;
  Diagnostics& diagnostics_;
};

const char* source_word(HclValueSource source) {
  switch (source) {
    case HclValueSource::none: return "unset";
    case HclValueSource::default_value: return "default";
    case HclValueSource::env: return "env";
    case HclValueSource::varfile: return "varfile";
    case HclValueSource::cmd: return "cmd";
  }
  return "";
}

void check_rule(const HclVariable& variable, const HclVariable::Validation& rule, const HclHost& host,
                Diagnostics& diagnostics) {
  HclScope scope;
  scope.functions = hcl_functions;
  scope.host = &host;
  scope.variables["var"] = HclValue::object({{variable.name, *variable.value}});
  Diagnostics found;
  HclValue result = evaluate_hcl(*rule.condition, scope, found);
  diagnostics.append(found);
  if (found.has_errors() || !result.is_known()) return;
  auto truth = hcl_convert(result, HclType::boolean());
  if (!truth || truth->is_null()) {
    diagnostics.error("Invalid variable validation result",
                      truth ? "Validation condition expression must return either true or false, not null."
                            : "Invalid validation condition result value: a bool is required.",
                      rule.condition_range);
    return;
  }
  if (truth->as_boolean()) return;
  diagnostics.error(fmt::format("Invalid value for {} variable", source_word(variable.source)),
                    fmt::format("{}\n\nThis was checked by the validation rule at {}.", rule.error_message,
                                hcl_place(rule.range)),
                    variable.value_range.known() ? variable.value_range : variable.range);
}

}  // namespace

void collect_hcl_variables(PackerHcl& config, const HclVariableInput& input, Diagnostics& diagnostics) {
  VariableCollector(config, input, diagnostics).collect();
}

void validate_hcl_variables(const PackerHcl& config, const HclHost& host, Diagnostics& diagnostics) {
  for (const auto& variable : config.variables) {
    if (!variable.value) {
      diagnostics.error(fmt::format("Unset variable {}", go_quote(variable.name)),
                        "A used variable must be set or have a default value; see "
                        "https://packer.io/docs/templates/hcl_templates/syntax for details.",
                        variable.range, fmt::format("Give it by -var '{}=...', in a variable file or as PKR_VAR_{}.",
                                                    variable.name, variable.name));
      continue;
    }
    for (const auto& rule : variable.validations) check_rule(variable, rule, host, diagnostics);
  }
}

}  // namespace kiln
