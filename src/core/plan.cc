#include "core/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>

#include "base/text.h"
#include "core/build_data.h"
#include "core/template_check.h"
#include "lang/packer_json.h"

namespace kiln {

namespace {

constexpr const char* answered_packer_version = "1.16.0";

bool names_it(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What a component's prepare found, under the build's headline as Packer has it for legacy templates.
Diagnostic with_headline(Diagnostic item, const std::string& build) {
  item.detail = item.detail.empty()    ? item.summary
                : item.summary.empty() ? item.detail
                                       : item.summary + "\n\n" + item.detail;
  item.summary = item.severity == Severity::error ? fmt::format("Failed to prepare build: {}", go_quote(build))
                                                  : fmt::format("Warning when preparing build: {}", go_quote(build));
  return item;
}

/// `provisioner-block "shell" "name"`
std::string step_text(const char* kind, const std::string& type, const std::string& name) {
  return fmt::format("{}-block {} {}", kind, go_quote(type), go_quote(name));
}

/// "provisioner shell: only for null.a"
std::string left_out_text(const char* kind, const std::string& type, const std::string& name,
                          const BuildFilter& filter) {
  std::string called = name.empty() || name == type ? type : fmt::format("{} {}", type, go_quote(name));
  return fmt::format(
      "{} {}: {}", kind, called,
      filter.only.empty() ? "not for " + join(filter.except, ", ") : "only for " + join(filter.only, ", "));
}

bool has_unknown(const Value& value) {
  if (value.is_list()) return std::any_of(value.as_list().begin(), value.as_list().end(), has_unknown);
  if (!value.is_object()) return value.is_unknown();
  return std::any_of(value.as_object().begin(), value.as_object().end(),
                     [](const Member& member) { return has_unknown(member.value); });
}

BodyInput body_input(const SourceDeclaration& source, const BuildInfo& info) {
  return {info.scope.build_data, info.scope.build_data_known, source.type, source.override_name};
}

/// Plans one stage after the other.
class Planner {
 public:
  Planner(const Template& parsed, const PlanInput& input, const Components& components, Diagnostics& diagnostics)
      : parsed_(parsed), input_(input), components_(components), diagnostics_(diagnostics), scope_(input.scope) {}

  Plan plan();

 private:
  void read_variables(Plan& plan, Diagnostics& whole);
  bool selected(const std::string& name) const;
  bool lacks_values(const ConfigBody& body, const Stage& stage) const;
  std::optional<std::string> builder_name(const SourceDeclaration& source);
  std::optional<Stage> plan_stage(const BuildDeclaration& build, const SourceDeclaration& source,
                                  const std::string& name);
  void report(const Diagnostics& found, const Stage& stage, const SourceRange& range, const std::string& step);
  BuildInfo build_info(const SourceDeclaration& source, const std::string& name) const;
  bool add_builder(Stage& stage);
  bool add_provisioners(const BuildDeclaration& build, Stage& stage);
  bool add_post_processors(const BuildDeclaration& build, Stage& stage);
  std::optional<PlannedProvisioner> plan_provisioner(const ProvisionerDeclaration& declaration, const Stage& stage);
  std::optional<int> retries(const ProvisionerDeclaration& declaration, const Stage& stage);
  template <class T>
  std::unique_ptr<T> make(const std::vector<ComponentEntry<T>>& entries, const char* kind, const std::string& type,
                          const SourceRange& range, const std::string& build);

  const Template& parsed_;
  const PlanInput& input_;
  const Components& components_;
  Diagnostics& diagnostics_;
  TemplateScope scope_;  ///< with the variables, without env
  std::set<std::tuple<std::string, std::string, size_t>> told_unknown_;
};

template <class T>
std::unique_ptr<T> Planner::make(const std::vector<ComponentEntry<T>>& entries, const char* kind,
                                 const std::string& type, const SourceRange& range, const std::string& build) {
  if (const auto* entry = find_component(entries, type)) return entry->make();
  if (!told_unknown_.insert({kind, type, range.begin}).second) return nullptr;  // once, not once a build
  std::vector<std::string> known;
  known.reserve(entries.size());
  for (const auto& entry : entries) known.push_back(entry.type);
  auto nearest = nearest_name(type, known);
  diagnostics_.error(fmt::format("Failed to initialize build {}", go_quote(build)),
                     nearest ? fmt::format("Did you mean to use {}?", go_quote(*nearest))
                             : fmt::format("The {} {} is unknown by Packer, and is likely part of a plugin that is not "
                                           "installed.\nYou may find the needed plugin along with installation "
                                           "instructions documented on the Packer integrations "
                                           "page.\n\nhttps://developer.hashicorp.com/packer/integrations?filter={}",
                                           kind, type, type),
                     range, fmt::format("There is no {} \"{}\".", kind, type));
  return nullptr;
}

/// Under Packer's headlines: in legacy templates the build, in HCL2 the step; a mistake in a source stands for itself.
void Planner::report(const Diagnostics& found, const Stage& stage, const SourceRange& range, const std::string& step) {
  for (Diagnostic item : found.items()) {
    if (!parsed_.is_hcl()) {
      item = with_headline(std::move(item), stage.info.name);
    } else if (!step.empty() && item.severity == Severity::error) {
      item.detail = item.summary + (item.detail.empty() ? "" : "; " + item.detail);
      item.summary = "Failed preparing " + step;
    }
    if (!item.range.known()) item.range = range;
    item.block = range;
    diagnostics_.add(std::move(item));
  }
}

std::optional<std::string> Planner::builder_name(const SourceDeclaration& source) {
  if (parsed_.is_hcl() || !contains(source.name, "{{")) return source.name;
  Rendered rendered = render_template_once(source.name, scope_);
  if (rendered.ok()) return rendered.text;
  diagnostics_.error("", fmt::format("Error interpolating builder '{}': {}", source.name, *rendered.error),
                     source.range);
  return std::nullopt;
}

BuildInfo Planner::build_info(const SourceDeclaration& source, const std::string& name) const {
  BuildInfo info;
  info.name = name;
  info.display_name = !source.display_name.empty() ? source.display_name
                      : name == source.type        ? name
                                                   : source.type + "." + name;
  info.builder_type = source.type;
  info.force = input_.force;
  info.debug = input_.debug;
  info.on_error = input_.on_error;
  info.core_version = scope_.packer_version;
  info.run_id = input_.run_id;
  info.cache_directory = input_.cache_directory;
  info.scope = scope_;
  info.scope.build_name = name;
  info.scope.build_type = source.type;
  info.scope.build_data = Value::empty_object();
  return info;
}

/// Whether a body misses a value whose own mistake has been told: the component would only complain again.
bool Planner::lacks_values(const ConfigBody& body, const Stage& stage) const {
  if (!input_.values_failed) return false;
  Diagnostics ignored;
  return has_unknown(body(body_input(stage.source, stage.info), ignored));
}

bool Planner::add_builder(Stage& stage) {
  stage.builder = make(components_.builders, "builder", stage.source.type, stage.source.range, stage.info.name);
  if (!stage.builder) return false;
  Diagnostics found;
  Value config = stage.source.body(body_input(stage.source, stage.info), found);
  if (input_.values_failed && has_unknown(config)) return false;
  // Of a body that could not be read, what it then lacks is no news.
  if (!found.has_errors()) stage.builder->prepare({config, stage.info, found});
  report(found, stage, stage.source.range, "");
  stage.info.scope.build_data = placeholder_build_data(stage.builder->generated_data_names());
  return !found.has_errors();
}

std::optional<int> Planner::retries(const ProvisionerDeclaration& declaration, const Stage& stage) {
  const Value& written = declaration.max_retries;
  if (written.is_null()) return 0;
  std::string text = written.is_string() ? written.as_string()
                     : written.kind() == Value::Kind::number ? written.as_number().text : to_json(written);
  std::string problem;
  Rendered rendered = render_template_once(text, stage.info.scope);
  if (rendered.ok()) {
    int number = 0;
    const std::string& digits = rendered.text;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error == std::errc() && end == digits.data() + digits.size() && !digits.empty()) return number;
    problem = fmt::format("strconv.Atoi: parsing {}: invalid syntax", go_quote(digits));
  } else {
    problem = *rendered.error;
  }
  diagnostics_.error(fmt::format("Failed to initialize build {}", go_quote(stage.info.name)),
                     "`max_retries` must be a valid integer: " + problem,
                     written.range.known() ? written.range : declaration.range);
  return std::nullopt;
}

std::optional<PlannedProvisioner> Planner::plan_provisioner(const ProvisionerDeclaration& declaration,
                                                            const Stage& stage) {
  auto max_retries = retries(declaration, stage);
  auto component = make(components_.provisioners, "provisioner", declaration.type, declaration.range, stage.info.name);
  if (!component) return std::nullopt;
  if (lacks_values(declaration.body, stage)) return std::nullopt;
  PlannedProvisioner planned{declaration, max_retries.value_or(0), std::move(component)};
  Diagnostics found;
  prepare_provisioner(planned, stage.source, stage.info, found);
  report(found, stage, declaration.range, step_text("provisioner", declaration.type, declaration.name));
  if (found.has_errors() || !max_retries) return std::nullopt;
  return planned;
}

bool Planner::add_provisioners(const BuildDeclaration& build, Stage& stage) {
  bool ok = true;
  for (const auto& declaration : build.provisioners) {
    if (!declaration.filter.allows(stage.source.filter_name)) {
      stage.left_out.push_back(left_out_text("provisioner", declaration.type, declaration.name, declaration.filter));
      continue;
    }
    if (auto planned = plan_provisioner(declaration, stage)) {
      stage.provisioners.push_back(std::move(*planned));
    } else {
      ok = false;
    }
  }
  if (build.error_cleanup_provisioner) {
    stage.error_cleanup = plan_provisioner(*build.error_cleanup_provisioner, stage);
    ok &= stage.error_cleanup.has_value();
  }
  return ok;
}

bool Planner::add_post_processors(const BuildDeclaration& build, Stage& stage) {
  bool ok = true;
  for (const auto& chain : build.post_processors) {
    std::vector<PlannedPostProcessor> planned;
    for (const auto& declaration : chain) {
      if (!parsed_.is_hcl() && names_it(input_.except, declaration.name.empty() ? declaration.type : declaration.name))
        break;
      if (!declaration.filter.allows(stage.source.filter_name)) {
        stage.left_out.push_back(
            left_out_text("post-processor", declaration.type, declaration.name, declaration.filter));
        continue;
      }
      auto component =
          make(components_.post_processors, "post-processor", declaration.type, declaration.range, stage.info.name);
      if (!component) {
        ok = false;
        continue;
      }
      if (lacks_values(declaration.body, stage)) {
        ok = false;
        continue;
      }
      planned.push_back({declaration, std::move(component)});
      Diagnostics found;
      prepare_post_processor(planned.back(), stage.source, stage.info, found);
      report(found, stage, declaration.range, step_text("post-processor", declaration.type, declaration.name));
      ok &= !found.has_errors();
    }
    if (!planned.empty()) stage.post_processors.push_back(std::move(planned));
  }
  return ok;
}

std::optional<Stage> Planner::plan_stage(const BuildDeclaration& build, const SourceDeclaration& source,
                                         const std::string& name) {
  Stage stage;
  stage.info = build_info(source, name);
  stage.source = source;
  bool ok = add_builder(stage);
  ok &= add_provisioners(build, stage);
  ok &= add_post_processors(build, stage);
  if (!ok) return std::nullopt;
  return stage;
}

/// Variables of a legacy template, and what of them is secret. HCL2's are in its expressions.
void Planner::read_variables(Plan& plan, Diagnostics& whole) {
  check_template(parsed_, answered_packer_version, whole);
  TemplateScope scope = scope_;
  for (const auto& [name, function] : input_.variable_functions) scope.functions[name] = function;
  plan.variables = resolve_variables(parsed_, input_.variables, scope, whole);
  scope_.user_variables = plan.variables;
  for (const auto& variable : parsed_.variables) {
    if (variable.sensitive || names_it(parsed_.sensitive_variables, variable.name)) {
      plan.secrets.push_back(plan.variables[variable.name]);
    }
  }
  for (const auto& name : parsed_.sensitive_variables) {
    auto found = plan.variables.find(name);
    if (found != plan.variables.end() && !names_it(plan.secrets, found->second)) plan.secrets.push_back(found->second);
  }
}

/// -only and -except by the exact name; HCL2's lowering has selected already.
bool Planner::selected(const std::string& name) const {
  if (parsed_.is_hcl()) return true;
  return (input_.only.empty() || names_it(input_.only, name)) && !names_it(input_.except, name);
}

Plan Planner::plan() {
  Plan plan;
  if (scope_.packer_version.empty()) scope_.packer_version = answered_packer_version;
  Diagnostics whole;
  if (parsed_.is_hcl()) plan.secrets = parsed_.secrets;
  else read_variables(plan, whole);
  diagnostics_.append(whole);
  scope_.env = nullptr;
  scope_.keep_dot_actions = false;
  if (whole.has_errors()) return plan;
  for (const auto& build : parsed_.builds) {
    for (const auto& source : build.sources) {
      auto name = builder_name(source);
      if (!name || !selected(*name)) continue;
      if (auto stage = plan_stage(build, source, *name)) plan.stages.push_back(std::move(*stage));
    }
  }
  return plan;
}

Value merged_config(const ConfigBody& body, const std::map<std::string, Value>& overrides, const std::string& builder,
                    const BodyInput& input, Diagnostics& diagnostics) {
  Value config = body(input, diagnostics);
  if (!config.is_object()) config = Value::empty_object();
  auto found = overrides.find(builder);
  if (found != overrides.end() && found->second.is_object()) {
    for (const auto& member : found->second.as_object()) config.set(member.key, member.value);
  }
  return config;
}

}  // namespace

void prepare_provisioner(PlannedProvisioner& planned, const SourceDeclaration& source, const BuildInfo& info,
                         Diagnostics& diagnostics) {
  Value config = merged_config(planned.declaration.body, planned.declaration.overrides, source.override_name,
                               body_input(source, info), diagnostics);
  if (!diagnostics.has_errors()) planned.component->prepare({config, info, diagnostics});
}

void prepare_post_processor(PlannedPostProcessor& planned, const SourceDeclaration& source, const BuildInfo& info,
                            Diagnostics& diagnostics) {
  Value config = merged_config(planned.declaration.body, {}, "", body_input(source, info), diagnostics);
  if (!diagnostics.has_errors()) planned.component->prepare({config, info, diagnostics});
}

Plan make_plan(const Template& parsed, const PlanInput& input, const Components& components,
               Diagnostics& diagnostics) {
  return Planner(parsed, input, components, diagnostics).plan();
}

}  // namespace kiln
