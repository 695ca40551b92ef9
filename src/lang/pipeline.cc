#include "lang/pipeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "lang/hcl_body.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_json.h"
#include "lang/pipeline_internal.h"

namespace kiln {

namespace {

HclValue artifact_value(const StageArtifact& artifact) {
  HclValue::Items files;
  for (const auto& file : artifact.files) files.push_back(HclValue::string(file));
  return HclValue::object({{"id", HclValue::string(artifact.id)},
                           {"file", HclValue::string(artifact.files.empty() ? "" : artifact.files[0])},
                           {"files", HclValue::list(HclType::string(), std::move(files))},
                           {"digest", HclValue::string(artifact.digest)},
                           {"builder_id", HclValue::string(artifact.builder_id)}});
}

HclValue unknown_artifact() {
  HclValue text = HclValue::unknown(HclType::string());
  return HclValue::object({{"id", text},
                           {"file", text},
                           {"files", HclValue::unknown(HclType::list(HclType::string()))},
                           {"digest", text},
                           {"builder_id", text}});
}

std::vector<std::string> strings_of(const HclValue& list) {
  std::vector<std::string> out;
  if (!list.has_content()) return out;
  for (const auto& item : list.items()) {
    if (item.has_content()) out.push_back(item.as_string());
  }
  return out;
}

}  // namespace

std::string pipeline_name_of(const std::string& path) {
  std::string name = path.substr(path.rfind('/') + 1);
  for (std::string_view ending : {".kiln.hcl", ".kiln.json"}) {
    if (name.size() > ending.size() && name.ends_with(ending)) name.resize(name.size() - ending.size());
  }
  return name;
}

void read_slots(const HclAttribute& attribute, const HclScope& scope, std::map<std::string, int64_t>& out,
                Diagnostics& diagnostics) {
  Diagnostics found;
  HclValue value = evaluate_hcl(*attribute.expression.tree(), scope, found);
  diagnostics.append(found);
  if (found.has_errors()) return;
  SourceRange range = attribute.expression.range();
  if (!value.has_content() || !value.type().is_keyed()) {
    diagnostics.error("Invalid slots",
                      "Slots are an object of names and amounts: { cpus = 2, memory = \"2G\", license = 1 }.", range);
    return;
  }
  for (const auto& [name, amount] : value.members()) {
    std::optional<int64_t> units;
    if (amount.has_content() && name == "memory") units = parse_memory(amount);
    if (amount.has_content() && name != "memory" && amount.type().is(HclType::Kind::number))
      units = amount.as_number().to_int64();
    if (!units || *units < 0) {
      diagnostics.error(fmt::format("Invalid amount of {}", go_quote(name)),
                        name == "memory" ? "Memory is a number of MiB, or text like \"512M\" or \"2G\"."
                                         : "It must be a whole number, 0 or more.",
                        range);
      continue;
    }
    out[name] = *units;
  }
}

struct Pipeline::Scope {
  std::unique_ptr<Scope> parent;              ///< of the module that uses this one
  std::unique_ptr<HclEvaluation> evaluation;  ///< of a module; the pipeline's own lives with it
  std::map<std::string, HclValue> stages, modules;
  HclScope scope;
};

const std::vector<PipelineOutput>& Pipeline::outputs() const { return modules_[0]->outputs; }

std::vector<std::string> Pipeline::secrets() const {
  std::vector<std::string> out;
  for (const auto& module : modules_) {
    for (auto& secret : module->evaluation->secrets()) out.push_back(std::move(secret));
  }
  return out;
}

void Pipeline::set_artifacts(size_t instance, const std::vector<StageArtifact>& artifacts) {
  std::lock_guard lock(results_->mutex);
  results_->of_instance[instance] = artifacts;
}

std::vector<StageArtifact> Pipeline::artifacts(size_t instance) const {
  std::lock_guard lock(results_->mutex);
  auto found = results_->of_instance.find(instance);
  return found == results_->of_instance.end() ? std::vector<StageArtifact>() : found->second;
}

HclValue Pipeline::instance_value(size_t instance) const {
  auto found = results_->of_instance.find(instance);
  HclValue name = HclValue::string(instances_[instance].name);
  if (found == results_->of_instance.end()) {
    return HclValue::object({{"name", name},
                             {"artifact", unknown_artifact()},
                             {"artifacts", HclValue::unknown(HclType::map(unknown_artifact().type()))}});
  }
  HclValue::Members all;
  for (const auto& artifact : found->second) all[artifact.build] = artifact_value(artifact);
  HclType type = unknown_artifact().type();
  HclValue one = found->second.size() == 1 ? artifact_value(found->second[0]) : HclValue::null(type);
  return HclValue::object({{"name", name}, {"artifact", one}, {"artifacts", HclValue::map(type, std::move(all))}});
}

HclValue Pipeline::stage_value(size_t stage, std::optional<size_t> only) const {
  std::lock_guard lock(results_->mutex);
  const auto& members = of_stage_[stage];
  if (!stages_[stage].content.find("for_each")) return instance_value(members[0]);
  if (auto found = results_->whole.find(stage); found != results_->whole.end()) return found->second;
  HclValue::Members out;
  auto add = [&](size_t instance) {
    out[instances_[instance].each.find("key")->as_string()] = instance_value(instance);
  };
  if (only) {
    add(*only);
    return HclValue::object(std::move(out));
  }
  bool complete = true;
  for (size_t instance : members) {
    add(instance);
    complete &= results_->of_instance.count(instance) > 0;
  }
  HclValue value = HclValue::object(std::move(out));
  if (complete) results_->whole[stage] = value;
  return value;
}

std::unique_ptr<HclEvaluation> evaluate_module(const PackerHcl& config, const HclEnvironment& environment,
                                               const HclValue& variables, const SourceRange& range,
                                               Diagnostics& diagnostics) {
  auto own = std::make_shared<PackerHcl>(config);
  if (variables.has_content() && variables.type().is_keyed()) {
    for (const auto& [name, value] : variables.members()) {
      HclVariable* variable = own->find_variable(name);
      if (!variable) {
        std::vector<std::string> names;
        for (const auto& one : own->variables) names.push_back(one.name);
        auto nearest = nearest_name(name, names);
        diagnostics.error(fmt::format("Unknown variable {}", go_quote(name)),
                          "The module declares no variable of that name.", range,
                          nearest ? fmt::format("Did you mean {}?", go_quote(*nearest)) : "");
        continue;
      }
      std::string why;
      auto converted = variable->typed ? hcl_convert(hcl_apply_defaults(value, variable->constraint),
                                                     variable->constraint.type, &why)
                                       : std::optional(value);
      // A type that was taken from a default, [] or ["one"], says only that it is a list.
      if (!converted && variable->constraint.type.is(HclType::Kind::tuple) && value.type().is_sequence())
        converted = value;
      if (converted) variable->value = *converted;
      else
        diagnostics.error(fmt::format("Invalid value for variable {}", go_quote(name)),
                          fmt::format("The module wants another type: {}.", why), range);
    }
  }
  validate_hcl_variables(*own, environment.host, diagnostics);
  auto out = std::make_unique<HclEvaluation>(own, environment);
  out->evaluate_all(diagnostics);
  return out;
}

/// A stage of which single instances are asked for is an object of those alone.
void Pipeline::add_stages(size_t module, const std::vector<PipelineNeed>& needs, Scope& scope) const {
  std::map<size_t, HclValue::Members> single;
  for (const auto& need : needs) {
    if (need.module != module || stages_[need.stage].module != module) continue;
    bool many = stages_[need.stage].content.find("for_each") != nullptr;
    if (!need.instance || !many) {
      scope.stages[stages_[need.stage].name] = stage_value(need.stage, std::nullopt);
      continue;
    }
    std::string key = instances_[*need.instance].each.find("key")->as_string();
    single[need.stage][key] = *stage_value(need.stage, *need.instance).find(key);
  }
  for (auto& [stage, members] : single) {
    if (!scope.stages.count(stages_[stage].name))
      scope.stages[stages_[stage].name] = HclValue::object(std::move(members));
  }
}

std::unique_ptr<Pipeline::Scope> Pipeline::module_scope(size_t index, const std::vector<PipelineNeed>& needs,
                                                        Diagnostics& diagnostics) const {
  const Module& module = *modules_[index];
  auto out = std::make_unique<Scope>();
  const HclEvaluation* evaluation = module.evaluation.get();
  if (index != 0 && module.variables) {
    out->parent = module_scope(module.parent, needs, diagnostics);
    HclValue variables = evaluate_hcl(*module.variables, out->parent->scope, diagnostics);
    out->evaluation = evaluate_module(*module.config, module.environment, variables, module.range, diagnostics);
    evaluation = out->evaluation.get();
  }
  add_stages(index, needs, *out);
  for (const auto& [name, child] : module.module_index) {
    bool asked = std::any_of(needs.begin(), needs.end(), [&, &which = child](const PipelineNeed& need) {
      return need.module == index && stages_[need.stage].module == which;
    });
    if (asked) out->modules[name] = outputs_value(child, diagnostics);
  }
  out->scope.parent = &evaluation->scope();
  out->scope.namespaces["stage"] = &out->stages;
  out->scope.namespaces["module"] = &out->modules;
  return out;
}

/// All of a module's outputs, with all of its stages and those of its own modules, and what its variables refer to.
HclValue Pipeline::outputs_value(size_t index, Diagnostics& diagnostics) const {
  std::vector<PipelineNeed> all;
  for (size_t stage = 0; stage < stages_.size(); ++stage) {
    size_t module = stages_[stage].module;
    bool within = module == index || (module != 0 && modules_[module]->parent == index);
    if (within) all.push_back({stage, index, std::nullopt, false, {}});
  }
  for (size_t module = index; module != 0; module = modules_[module]->parent) {
    const auto& needs = modules_[module]->variables_need;
    all.insert(all.end(), needs.begin(), needs.end());
  }
  auto scope = module_scope(index, all, diagnostics);
  HclValue::Members members;
  for (const auto& output : modules_[index]->outputs) {
    HclValue value = evaluate_hcl(*output.expression.tree(), scope->scope, diagnostics);
    members[output.name] = output.sensitive ? value.with_sensitive() : value;
  }
  return HclValue::object(std::move(members));
}

std::unique_ptr<Pipeline::Scope> Pipeline::scope_of(size_t index, const StageArtifact* artifact) const {
  const PipelineInstance& instance = instances_[index];
  Diagnostics told_before;  // when it was read
  auto out = module_scope(stages_[instance.stage].module, instance.needs, told_before);
  if (!instance.each.is_null()) out->scope.variables["each"] = instance.each;
  if (artifact) out->scope.variables["artifact"] = artifact_value(*artifact);
  return out;
}

namespace {

/// Reads attributes of a stage, those of `defaults` where it has none.
class StageReader {
 public:
  StageReader(const HclContent& stage, const HclContent& defaults, const HclScope& scope, Diagnostics& diagnostics)
      : stage_(stage), defaults_(defaults), scope_(scope), diagnostics_(diagnostics) {}

  StageSettings read() {
    StageSettings out;
    out.template_path = text("template");
    out.directory = text("directory");
    if (const auto* attribute = stage_.find("template")) out.template_range = attribute->expression.range();
    out.only = list("only");
    out.except = list("except");
    out.variable_files = list("var_files");
    if (const auto* attribute = defaults_.find("variables")) variables(*attribute, out);
    if (const auto* attribute = stage_.find("variables")) variables(*attribute, out);
    if (const auto* attribute = find("slots")) read_slots(*attribute, scope_, out.slots, diagnostics_);
    cpus(out);
    memory(out);
    HclValue seal = value("seal", HclType::boolean());
    if (seal.has_content()) out.seal = seal.as_boolean();
    return out;
  }

 private:
  const HclAttribute* find(const char* name) const {
    const HclAttribute* own = stage_.find(name);
    return own ? own : defaults_.find(name);
  }
  HclValue value(const char* name, const HclType& type) {
    const HclAttribute* attribute = find(name);
    if (!attribute) return HclValue::null(type);
    HclValue out = evaluate_hcl_as(*attribute->expression.tree(), type, scope_, name, diagnostics_);
    if (out.is_known()) return out;
    diagnostics_.error(
        "Value not known in time",
        fmt::format("{} must be known before anything is built; only variables may depend on other stages' artifacts.",
                    go_quote(name)),
        attribute->expression.range());
    return HclValue::null(type);
  }
  std::string text(const char* name) {
    HclValue out = value(name, HclType::string());
    return out.has_content() ? out.as_string() : "";
  }
  std::vector<std::string> list(const char* name) { return strings_of(value(name, HclType::list(HclType::string()))); }

  void variables(const HclAttribute& attribute, StageSettings& out) {
    Diagnostics found;
    HclValue object = evaluate_hcl(*attribute.expression.tree(), scope_, found);
    diagnostics_.append(found);
    if (found.has_errors()) return;
    out.variables_range = attribute.expression.range();
    if (!object.has_content() || !object.type().is_keyed()) {
      diagnostics_.error("Invalid variables", "Variables are an object: variables = { name = value }.",
                         attribute.expression.range());
      return;
    }
    for (const auto& [name, member] : object.members()) {
      Value plain = to_plain_value(member, attribute.expression.range());
      std::erase_if(out.variables, [&, &key = name](const auto& other) { return other.first == key; });
      if (!plain.is_null()) out.variables.emplace_back(name, std::move(plain));
    }
  }

  void cpus(StageSettings& out) {
    HclValue number = value("cpus", HclType::number());
    if (!number.has_content()) return;
    auto units = number.as_number().to_int64();
    if (!units || *units < 1) {
      diagnostics_.error("Invalid cpus", "It must be a whole number, 1 or more.", find("cpus")->expression.range());
      return;
    }
    out.slots["cpus"] = *units;
  }

  void memory(StageSettings& out) {
    HclValue amount = value("memory", HclType::dynamic());
    if (!amount.has_content()) return;
    auto units = parse_memory(amount);
    if (units) out.slots["memory"] = *units;
    else
      diagnostics_.error("Invalid memory", "Memory is a number of MiB, or text like \"512M\" or \"2G\".",
                         find("memory")->expression.range());
  }

  const HclContent& stage_;
  const HclContent& defaults_;
  const HclScope& scope_;
  Diagnostics& diagnostics_;
};

const std::vector<OptionDoc>* block_docs(const HclEnvironment& environment, std::string_view kind,
                                         const HclBlock& block, Diagnostics& diagnostics) {
  const std::string& type = block.labels[0].text;
  if (const auto* docs = environment.components.docs(kind, type)) return docs;
  auto known = environment.components.known(kind);
  auto nearest = nearest_name(type, known);
  diagnostics.error(fmt::format("Unknown {} type {}", kind, go_quote(type)),
                    fmt::format("Known: {}.", join(known, ", ")), block.header,
                    nearest ? fmt::format("Did you mean {}?", go_quote(*nearest)) : "");
  return nullptr;
}

std::string meta_text(const HclContent& meta, const char* name, const HclScope& scope, Diagnostics& diagnostics) {
  const HclAttribute* attribute = meta.find(name);
  if (!attribute) return "";
  HclValue value = evaluate_hcl_as(*attribute->expression.tree(), HclType::string(), scope, name, diagnostics);
  return value.has_content() ? value.as_string() : "";
}

/// 0: it is not there, or wrong, which is told.
std::chrono::nanoseconds meta_duration(const HclContent& meta, const char* name, const HclScope& scope,
                                       Diagnostics& diagnostics) {
  std::string written = meta_text(meta, name, scope, diagnostics);
  if (written.empty()) return std::chrono::nanoseconds(0);
  auto parsed = parse_go_duration(written);
  if (parsed && parsed->count() > 0) return *parsed;
  diagnostics.error(fmt::format("Invalid {}", name),
                    fmt::format("{} is no duration; one is written like \"90s\" or \"5m\".", go_quote(written)),
                    meta.find(name)->expression.range());
  return std::chrono::nanoseconds(0);
}

}  // namespace

StageSettings Pipeline::evaluate(size_t instance, Diagnostics& diagnostics) const {
  auto scope = scope_of(instance, nullptr);
  const PipelineStage& stage = stages_[instances_[instance].stage];
  const Module& module = *modules_[stage.module];
  StageSettings out = StageReader(stage.content, module.defaults, scope->scope, diagnostics).read();
  if (stage.module != 0 && !out.directory.starts_with('/')) {
    out.directory = module.directory + (out.directory.empty() ? "" : "/" + out.directory);
  }
  return out;
}

std::vector<StageTest> Pipeline::tests(size_t instance, const StageArtifact* artifact, Diagnostics& diagnostics) const {
  static const HclSchema schema{{{"name"}, {"machine"}, {"machine_type"}, {"wait_for"}, {"wait_timeout"}, {"timeout"}},
                                {}};
  std::vector<StageTest> out;
  const auto& blocks = stages_[instances_[instance].stage].tests;
  if (blocks.empty()) return out;
  auto scope = scope_of(instance, artifact);
  if (!artifact) scope->scope.variables["artifact"] = unknown_artifact();
  for (const auto& block : blocks) {
    const auto* docs = block_docs(environment_, kind_tester, block, diagnostics);
    if (!docs) continue;
    HclBody rest;
    HclContent meta = hcl_partial_content(block.body, schema, rest, diagnostics, &scope->scope);
    StageTest test;
    test.kind = block.labels[0].text;
    test.range = block.header;
    test.name = meta_text(meta, "name", scope->scope, diagnostics);
    if (test.name.empty()) test.name = test.kind;
    test.machine_type = meta_text(meta, "machine_type", scope->scope, diagnostics);
    if (const auto* attribute = meta.find("machine")) {
      Value machine =
          to_plain_value(evaluate_hcl(*attribute->expression.tree(), scope->scope, diagnostics),
                         attribute->expression.range());
      if (machine.is_object()) test.machine = std::move(machine);
      else
        diagnostics.error("Invalid machine", "It is an object of the builder's options: machine = { memory = 1024 }.",
                          attribute->expression.range());
    }
    if (const auto* attribute = meta.find("wait_for")) {
      test.wait_for = strings_of(evaluate_hcl_as(*attribute->expression.tree(), HclType::list(HclType::string()),
                                                 scope->scope, "wait_for", diagnostics));
    }
    test.wait_timeout = meta_duration(meta, "wait_timeout", scope->scope, diagnostics);
    test.timeout = meta_duration(meta, "timeout", scope->scope, diagnostics);
    test.config = decode_hcl_component(rest, *docs, scope->scope, diagnostics);
    out.push_back(std::move(test));
  }
  return out;
}

std::vector<StagePublish> Pipeline::publishes(size_t instance, const StageArtifact* artifact,
                                              Diagnostics& diagnostics) const {
  std::vector<StagePublish> out;
  const auto& blocks = stages_[instances_[instance].stage].publishes;
  if (blocks.empty()) return out;
  auto scope = scope_of(instance, artifact);
  if (!artifact) scope->scope.variables["artifact"] = unknown_artifact();
  for (const auto& block : blocks) {
    const auto* docs = block_docs(environment_, kind_post_processor, block, diagnostics);
    if (!docs) continue;
    HclBody rest;
    HclContent meta = hcl_partial_content(block.body, {{{"name"}}, {}}, rest, diagnostics, &scope->scope);
    StagePublish publish;
    publish.type = block.labels[0].text;
    publish.range = block.header;
    publish.name = meta_text(meta, "name", scope->scope, diagnostics);
    if (publish.name.empty()) publish.name = publish.type;
    publish.config = decode_hcl_component(rest, *docs, scope->scope, diagnostics);
    out.push_back(std::move(publish));
  }
  return out;
}

Template Pipeline::inline_template(size_t instance, const HclHost& host, const StageSettings& settings,
                                   Diagnostics& diagnostics) const {
  /// Lives as long as the template's bodies do: they evaluate in it.
  struct Inline : HclEvaluation {
    Inline(std::shared_ptr<const PackerHcl> config, HclEnvironment environment, std::unique_ptr<Scope> around)
        : HclEvaluation(std::move(config), std::move(environment)), around(std::move(around)) {}
    std::unique_ptr<Scope> around;
  };
  const PipelineStage& stage = stages_[instances_[instance].stage];
  auto around = scope_of(instance, nullptr);
  auto config = std::make_shared<PackerHcl>();
  const Module& module = *modules_[stage.module];
  config->path = module.config->path;
  config->files = module.config->files;
  config->sources = module.config->sources;
  for (const auto& block : stage.sources) {
    config->sources.push_back({block.labels[0].text, block.labels[1].text, block.body, block.header});
  }
  config->builds = stage.builds;
  HclEnvironment environment = environment_;
  environment.host = host;
  environment.around = &around->scope;
  environment.only_needed = true;
  environment.only = settings.only;
  environment.except = settings.except;
  auto evaluation = std::make_shared<Inline>(config, std::move(environment), std::move(around));
  Template out = lower_packer_hcl(evaluation, diagnostics);
  for (auto& secret : secrets()) out.secrets.push_back(std::move(secret));
  return out;
}

HclValue Pipeline::output(const PipelineOutput& output, Diagnostics& diagnostics) const {
  const HclValue all = outputs_value(0, diagnostics);
  const HclValue* found = all.find(output.name);
  return found ? *found : HclValue();
}

}  // namespace kiln
