// A pipeline file to stages, instances and what each needs.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "lang/hcl_body.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_json.h"
#include "lang/hcl_write.h"
#include "lang/pipeline.h"
#include "lang/pipeline_internal.h"

namespace kiln {

/// `stage.NAME...` anywhere within the expression, `stage.NAME[key]` with the expression of its key.
struct StageReference {
  std::string name;  ///< empty: `stage` as a whole
  bool of_module = false;  ///< `module.NAME`
  size_t module = 0;       ///< in whose scope it stands
  HclExpressionPtr key;
  std::optional<Value> literal_key;
  bool one_artifact = false;
  SourceRange range;
};

namespace {

constexpr size_t most_instances = 1'000'000;

const HclSchema& stage_schema() {
  static const HclSchema schema = [] {
    HclSchema out = pipeline_defaults_schema();
    for (auto name : {"template", "directory", "for_each", "depends_on", "description"})
      out.attributes.push_back({name});
    out.blocks.push_back({"source", {"type", "name"}});
    out.blocks.push_back({"build", {}});
    return out;
  }();
  return schema;
}

/// Whether steps from `at` on ask for the one artifact of a stage.
bool asks_for_artifact(const std::vector<HclStep>& steps, size_t at) {
  return at < steps.size() && steps[at].kind == HclStep::Kind::attribute && steps[at].name == "artifact";
}

StageReference read_reference(std::string_view root, const std::vector<HclStep>& steps, const SourceRange& range) {
  StageReference out;
  out.range = range;
  out.of_module = root == "module";
  if (steps.empty()) return out;
  out.name = steps[0].kind == HclStep::Kind::attribute ? steps[0].name
             : steps[0].key().is_string()              ? steps[0].key().as_string()
                                                       : "";
  size_t next = 1;
  if (steps.size() > 1 && steps[1].kind == HclStep::Kind::index) {
    out.literal_key = steps[1].key();
    next = 2;
  }
  out.one_artifact = asks_for_artifact(steps, next);
  return out;
}

/// The parser bounds how deep an expression is.
void find_stage_references(const HclExpression& expression, std::vector<StageReference>& out) {
  auto is_stage = [](const HclExpression& one) { return one.kind == HclExpressionKind::scope && one.name == "stage"; };
  bool is_module = expression.kind == HclExpressionKind::scope && expression.name == "module";
  if (is_stage(expression) || is_module) {
    out.push_back(read_reference(expression.name, expression.steps, expression.range));
    return;
  }
  const HclExpression* indexed = nullptr;
  std::vector<HclStep> after;
  if (expression.kind == HclExpressionKind::index) indexed = &expression;
  if (expression.kind == HclExpressionKind::traversal && expression.items[0]->kind == HclExpressionKind::index) {
    indexed = expression.items[0].get();
    after = expression.steps;
  }
  if (indexed && is_stage(*indexed->items[0]) && indexed->items[0]->steps.size() == 1) {
    StageReference reference = read_reference("stage", indexed->items[0]->steps, expression.range);
    reference.key = indexed->items[1];
    reference.one_artifact = asks_for_artifact(after, 0);
    out.push_back(reference);
    find_stage_references(*indexed->items[1], out);
    return;
  }
  for (const auto& item : expression.items) {
    if (item) find_stage_references(*item, out);
  }
}

}  // namespace

const HclSchema& pipeline_defaults_schema() {
  static const HclSchema schema{
      {{"only"}, {"except"}, {"variables"}, {"var_files"}, {"cpus"}, {"memory"}, {"slots"}, {"seal"}},
      {{"test", {"kind"}}, {"publish", {"type"}}}};
  return schema;
}

const std::vector<HclBlockSchema>& pipeline_blocks() {
  static const std::vector<HclBlockSchema> blocks{
      {"pipeline", {}}, {"defaults", {}}, {"stage", {"name"}}, {"output", {"name"}}, {"module", {"name"}}};
  return blocks;
}

std::optional<int64_t> parse_memory(const HclValue& value) {
  if (value.type().is(HclType::Kind::number)) {  // MiB, as builders take it
    auto number = value.as_number().to_int64();
    if (!number || *number < 0 || *number > (int64_t{1} << 40)) return std::nullopt;
    return *number << 20;
  }
  if (!value.type().is(HclType::Kind::string)) return std::nullopt;
  std::string text = value.as_string();
  while (text.ends_with('B') || text.ends_with('i')) text.pop_back();
  int shift = 20;
  if (!text.empty()) {
    char unit = static_cast<char>(std::toupper(static_cast<unsigned char>(text.back())));
    if (unit == 'K') shift = 10;
    if (unit == 'G') shift = 30;
    if (unit == 'T') shift = 40;
    if (unit == 'K' || unit == 'M' || unit == 'G' || unit == 'T') text.pop_back();
  }
  if (text.empty() || text.size() > 7 || text.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return std::stoll(text) << shift;
}

/// Reads the blocks, makes the instances, finds what each needs.
class Pipeline::Reader {
 public:
  Reader(Pipeline& out, const PipelineModuleFinder& find_module, Diagnostics& diagnostics)
      : out_(out), find_module_(find_module), diagnostics_(diagnostics) {}

  void read() {
    // Modules are appended while they are found.
    for (module_ = 0; module_ < out_.modules_.size() && !diagnostics_.has_errors(); ++module_) read_blocks();
    if (out_.stages_.empty() && !diagnostics_.has_errors()) {
      diagnostics_.error("Missing stage block", "A pipeline has at least one stage, for example:\n\n"
                                                "  stage \"base\" {\n    template = \"base.json\"\n  }");
    }
    if (diagnostics_.has_errors()) return;
    check_outputs();
    make_instances();
    if (diagnostics_.has_errors()) return;
    for (const auto& one : out_.modules_) find_variables_need(*one);
    for (size_t i = 0; i < out_.instances_.size(); ++i) find_needs(i);
    if (!diagnostics_.has_errors()) sort();
  }

 private:
  Module& module() { return *out_.modules_[module_]; }
  const HclScope& scope() { return module().evaluation->scope(); }

  void read_blocks() {
    settings_seen_ = defaults_seen_ = false;
    output_names_.clear();
    const auto& blocks = module().config->more;
    for (const auto& block : blocks) {
      if (block.type == "pipeline") settings(block);
      if (block.type == "defaults") defaults(block);
    }
    for (const auto& block : blocks) {
      if (block.type == "stage") stage(block);
      if (block.type == "output") output(block);
      if (block.type == "module") use_module(block);
    }
  }

  void use_module(const HclBlock& block) {
    static constexpr size_t deepest = 8;
    auto content = hcl_content(block.body, {{{"source", true}, {"variables"}}, {}}, diagnostics_);
    const std::string& name = block.labels[0].text;
    const HclAttribute* source = content.find("source");
    if (!is_hcl_identifier(name)) {
      diagnostics_.error("Invalid module name",
                         "A name must start with a letter or underscore and may contain only letters, digits, "
                         "underscores, and dashes.",
                         block.labels[0].range);
      return;
    }
    if (!module().module_index.emplace(name, out_.modules_.size()).second) {
      diagnostics_.error("Duplicate module", fmt::format("There are two modules {}.", go_quote(name)), block.header);
      return;
    }
    if (static_cast<size_t>(std::count(module().name.begin(), module().name.end(), '.')) + 1 >= deepest) {
      diagnostics_.error("Modules within modules",
                         fmt::format("They nest more than {} deep: does one use itself?", deepest), block.header);
      return;
    }
    std::string where = text_of(content, "source");
    if (!source || where.empty() || diagnostics_.has_errors()) return;
    auto found =
        find_module_ ? find_module_(where, module().directory, source->expression.range(), diagnostics_) : std::nullopt;
    if (!found) return;
    auto one = std::make_unique<Module>();
    one->name = module().name.empty() ? name : module().name + "." + name;
    one->parent = module_;
    one->directory = found->directory;
    one->config = found->config;
    one->environment = module().environment;
    one->environment.host = found->host;
    one->environment.root_directory = found->directory;
    one->range = block.header;
    HclValue variables;
    if (const auto* attribute = content.find("variables")) {
      one->variables = attribute->expression.tree();
      one->range = attribute->expression.range();
      variables = unknown_where_it_waits(*attribute->expression.tree());
    }
    bool any = std::any_of(one->config->more.begin(), one->config->more.end(),
                           [](const HclBlock& block) { return block.type == "stage" || block.type == "module"; });
    if (!any) {
      diagnostics_.error("Missing stage block", fmt::format("Module {} has no stage.", go_quote(name)), block.header);
      return;
    }
    one->evaluation = evaluate_module(*one->config, one->environment, variables, one->range, diagnostics_);
    out_.modules_.push_back(std::move(one));
  }

  /// Before anything is built: members that wait for a stage are unknown.
  HclValue unknown_where_it_waits(const HclExpression& expression) {
    auto waits = [](const HclExpression& one) {
      std::vector<StageReference> found;
      find_stage_references(one, found);
      return !found.empty();
    };
    if (!waits(expression)) return evaluate_hcl(expression, scope(), diagnostics_);
    if (expression.kind != HclExpressionKind::object) {
      diagnostics_.error("Invalid variables",
                         "Of a module they are written as an object: variables = { name = value }.", expression.range);
      return {};
    }
    HclValue::Members members;
    for (size_t i = 0; i + 1 < expression.items.size(); i += 2) {
      auto key = hcl_convert(evaluate_hcl(*expression.items[i], scope(), diagnostics_), HclType::string());
      if (!key || !key->has_content()) continue;
      const HclExpression& value = *expression.items[i + 1];
      members[key->as_string()] =
          waits(value) ? HclValue::unknown(HclType::dynamic()) : evaluate_hcl(value, scope(), diagnostics_);
    }
    return HclValue::object(std::move(members));
  }

  /// What outputs refer to exists. (Of the pipeline's own they are evaluated when all is done.)
  void check_outputs() {
    for (module_ = 0; module_ < out_.modules_.size(); ++module_) {
      for (const auto& output : module().outputs) {
        std::vector<StageReference> found;
        find_stage_references(*output.expression.tree(), found);
        for (auto& reference : found) {
          reference.module = module_;
          (void)targets_of(reference);
        }
      }
    }
  }

  HclValue value_of(const HclContent& content, const char* name, const HclType& type) {
    const HclAttribute* attribute = content.find(name);
    if (!attribute) return HclValue::null(type);
    return evaluate_hcl_as(*attribute->expression.tree(), type, scope(), name, diagnostics_);
  }

  std::string text_of(const HclContent& content, const char* name) {
    HclValue value = value_of(content, name, HclType::string());
    return value.has_content() ? value.as_string() : "";
  }

  void settings(const HclBlock& block) {
    if (settings_seen_)
      diagnostics_.error("Duplicate pipeline block", "Only one pipeline block is allowed.", block.header);
    settings_seen_ = true;
    auto content = hcl_content(block.body, {{{"name"}, {"description"}, {"slots"}}, {}}, diagnostics_);
    if (module_ != 0) return;  // a module is a part of the pipeline that uses it
    if (std::string name = text_of(content, "name"); !name.empty()) out_.settings_.name = name;
    out_.settings_.description = text_of(content, "description");
    if (const auto* slots = content.find("slots")) read_slots(*slots, scope(), out_.settings_.slots, diagnostics_);
  }

  void defaults(const HclBlock& block) {
    if (defaults_seen_)
      diagnostics_.error("Duplicate defaults block", "Only one defaults block is allowed.", block.header);
    defaults_seen_ = true;
    module().defaults = hcl_content(block.body, pipeline_defaults_schema(), diagnostics_);
  }

  void stage(const HclBlock& block) {
    PipelineStage stage;
    stage.name = block.labels[0].text;
    stage.module = module_;
    stage.range = block.header;
    if (!is_hcl_identifier(stage.name)) {
      diagnostics_.error("Invalid stage name",
                         "A name must start with a letter or underscore and may contain only letters, digits, "
                         "underscores, and dashes.",
                         block.labels[0].range);
      return;
    }
    if (!module().stage_index.emplace(stage.name, out_.stages_.size()).second) {
      diagnostics_.error("Duplicate stage",
                         fmt::format("Stage {} was declared at {}.", go_quote(stage.name),
                                     hcl_place(out_.stages_[module().stage_index[stage.name]].range)),
                         block.header);
      return;
    }
    stage.content = hcl_content(block.body, stage_schema(), diagnostics_, &scope());
    for (const auto& one : stage.content.blocks) {
      if (one.type == "test") stage.tests.push_back(one);
      if (one.type == "publish") stage.publishes.push_back(one);
      if (one.type == "source") stage.sources.push_back(one);
      if (one.type == "build") stage.builds.push_back(one);
    }
    for (const auto& one : module().defaults.blocks) {
      if (one.type == "test") stage.tests.push_back(one);
      if (one.type == "publish") stage.publishes.push_back(one);
    }
    const HclAttribute* path = stage.content.find("template");
    if (!path && stage.builds.empty()) {
      diagnostics_.error("Missing template",
                         fmt::format("Stage {} needs a template, or a build block of its own.", go_quote(stage.name)),
                         block.header);
    }
    if (path && !stage.builds.empty()) {
      diagnostics_.error(
          "Template and build",
          fmt::format("Stage {} has both a template and a build block; only one can be built.", go_quote(stage.name)),
          path->range);
    }
    out_.stages_.push_back(std::move(stage));
  }

  void output(const HclBlock& block) {
    auto content = hcl_content(block.body, {{{"value", true}, {"description"}, {"sensitive"}}, {}}, diagnostics_);
    PipelineOutput output;
    output.name = block.labels[0].text;
    output.range = block.header;
    output.description = text_of(content, "description");
    HclValue sensitive = value_of(content, "sensitive", HclType::boolean());
    output.sensitive = sensitive.has_content() && sensitive.as_boolean();
    if (const auto* value = content.find("value")) output.expression = value->expression;
    if (!output_names_.insert(output.name).second) {
      diagnostics_.error("Duplicate output", fmt::format("Output {} is declared twice.", go_quote(output.name)),
                         block.header);
    }
    if (output.expression) module().outputs.push_back(std::move(output));
  }

  void make_instances() {
    for (size_t i = 0; i < out_.stages_.size(); ++i) {
      const PipelineStage& stage = out_.stages_[i];
      module_ = stage.module;
      std::string prefix = module().name.empty() ? "" : module().name + ".";
      out_.of_stage_.emplace_back();
      const HclAttribute* each = stage.content.find("for_each");
      if (!each) {
        add_instance({prefix + stage.name, i, HclValue::null(HclType::dynamic()), {}});
        continue;
      }
      for (auto& [key, value] : members_of(*each)) {
        add_instance({fmt::format("{}{}[{}]", prefix, stage.name, go_quote(key)), i,
                      HclValue::object({{"key", HclValue::string(key)}, {"value", value}}), {}});
      }
    }
  }

  void add_instance(PipelineInstance instance) {
    out_.of_stage_[instance.stage].push_back(out_.instances_.size());
    out_.instances_.push_back(std::move(instance));
  }

  /// What for_each goes over: a map, an object, or a list or set of strings.
  std::vector<std::pair<std::string, HclValue>> members_of(const HclAttribute& attribute) {
    std::vector<std::pair<std::string, HclValue>> out;
    Diagnostics found;
    HclValue value = evaluate_hcl(*attribute.expression.tree(), scope(), found);
    SourceRange range = attribute.expression.range();
    auto wrong = [&](const std::string& why) { found.error("Invalid for_each argument", why, range); };
    if (found.has_errors()) {
    } else if (!value.is_wholly_known()) {
      wrong("What for_each goes over must be known before anything is built: it cannot depend on a stage's artifact.");
    } else if (value.is_null() || !(value.type().is_keyed() || value.type().is_sequence())) {
      wrong("It must be a map, an object, or a list or set of strings.");
    } else if (value.contains_sensitive()) {
      wrong("It holds a sensitive value, and its keys become names that everybody sees.");
    } else if (value.length() > most_instances) {
      wrong(fmt::format("It has {} members; {} are the most.", value.length(), most_instances));
    } else if (value.type().is_keyed()) {
      for (const auto& [key, member] : value.members()) out.emplace_back(key, member);
    } else {
      std::set<std::string> seen;
      for (const auto& item : value.items()) {
        if (!item.has_content() || !item.type().is(HclType::Kind::string)) {
          wrong("Each member of a list or set must be a string: it becomes part of the stage's name.");
          break;
        }
        if (!seen.insert(item.as_string()).second) wrong(fmt::format("{} is in it twice.", go_quote(item.as_string())));
        out.emplace_back(item.as_string(), item);
      }
    }
    if (found.has_errors()) out.clear();
    diagnostics_.append(found);
    return out;
  }

  /// The stages that a reference means; none when there is a mistake, which is told.
  std::vector<size_t> targets_of(const StageReference& reference) {
    const Module& module = *out_.modules_[reference.module];
    if (reference.name.empty()) {
      diagnostics_.error(
          "Invalid reference",
          reference.of_module
              ? "After `module` comes the name of a module and of one of its outputs: module.NAME.OUTPUT."
              : "After `stage` comes the name of a stage: stage.NAME.artifact.id.",
          reference.range);
      return {};
    }
    const auto& known = reference.of_module ? module.module_index : module.stage_index;
    auto found = known.find(reference.name);
    if (found == known.end()) {
      const char* what = reference.of_module ? "module" : "stage";
      std::vector<std::string> names;
      names.reserve(known.size());
      for (const auto& [name, index] : known) names.push_back(name);
      auto nearest = nearest_name(reference.name, names);
      diagnostics_.error(fmt::format("Unknown {} {}", what, go_quote(reference.name)),
                         fmt::format("There is no {} of that name here.", what), reference.range,
                         nearest ? fmt::format("Did you mean {}.{}?", what, *nearest) : "");
      return {};
    }
    if (!reference.of_module) return {found->second};
    std::vector<size_t> out;
    for (size_t i = 0; i < out_.stages_.size(); ++i) {
      if (out_.stages_[i].module == found->second) out.push_back(i);
    }
    return out;
  }

  /// References of the stage's blocks, and of what its modules are given, found once for all its instances.
  const std::vector<StageReference>& references_of(size_t stage) {
    if (auto found = references_.find(stage); found != references_.end()) return found->second;
    std::vector<StageReference>& out = references_[stage];
    const PipelineStage& one = out_.stages_[stage];
    auto attributes = [&](const HclContent& content) {
      for (const auto& attribute : content.attributes) {
        if (attribute.name != "for_each") find_stage_references(*attribute.expression.tree(), out);
      }
    };
    attributes(one.content);
    attributes(out_.modules_[one.module]->defaults);
    std::vector<HclReference> in_blocks;
    for (const auto* blocks : {&one.tests, &one.publishes, &one.sources, &one.builds}) {
      for (const auto& block : *blocks) hcl_body_references(block.body, in_blocks);
    }
    for (const auto& reference : in_blocks) {
      if (reference.root == "stage" || reference.root == "module")
        out.push_back(read_reference(reference.root, reference.steps, reference.range));
    }
    for (auto& reference : out) reference.module = one.module;
    for (size_t module = one.module; module != 0; module = out_.modules_[module]->parent) {
      if (!out_.modules_[module]->variables) continue;
      size_t before = out.size();
      find_stage_references(*out_.modules_[module]->variables, out);
      for (size_t i = before; i < out.size(); ++i) out[i].module = out_.modules_[module]->parent;
    }
    return out;
  }

  void find_variables_need(Module& module) {
    if (!module.variables) return;
    std::vector<StageReference> found;
    find_stage_references(*module.variables, found);
    Diagnostics told_with_the_stages;
    std::swap(told_with_the_stages, diagnostics_);
    for (auto& reference : found) {
      reference.module = module.parent;
      for (size_t stage : targets_of(reference))
        module.variables_need.push_back({stage, module.parent, std::nullopt, false, reference.range});
    }
    std::swap(told_with_the_stages, diagnostics_);
  }

  void find_needs(size_t index) {
    PipelineInstance& instance = out_.instances_[index];
    for (const auto& reference : references_of(instance.stage)) {
      if (told_.count(&reference)) continue;
      size_t errors_before = diagnostics_.items().size();
      for (size_t stage : targets_of(reference)) add_need(index, stage, reference);
      if (diagnostics_.items().size() != errors_before) told_.insert(&reference);
    }
  }

  void add_need(size_t index, size_t stage, const StageReference& reference) {
    PipelineInstance& instance = out_.instances_[index];
    bool many = out_.stages_[stage].content.find("for_each") != nullptr;
    PipelineNeed need{stage, reference.module, std::nullopt, reference.one_artifact && !reference.of_module,
                      reference.range};
    if (!many) need.instance = out_.of_stage_[stage][0];
    if (many && !reference.of_module && (reference.key || reference.literal_key)) {
      auto key = key_of(index, reference);
      if (!key) return;
      auto found = instance_with_key(stage, *key);
      if (!found) {
        std::vector<std::string> keys;
        for (size_t other : out_.of_stage_[stage]) keys.push_back(out_.instances_[other].each.find("key")->as_string());
        auto nearest = nearest_name(*key, keys);
        diagnostics_.error(fmt::format("Unknown stage {}[{}]", out_.stages_[stage].name, go_quote(*key)),
                           "The stage's for_each has no such key.", reference.range,
                           nearest ? fmt::format("Did you mean {}?", go_quote(*nearest)) : "");
        return;
      }
      need.instance = found;
    }
    auto same = [&](const PipelineNeed& other) {
      return other.stage == need.stage && other.instance == need.instance && other.module == need.module;
    };
    auto known = std::find_if(instance.needs.begin(), instance.needs.end(), same);
    if (known == instance.needs.end()) instance.needs.push_back(need);
    else known->one_artifact |= need.one_artifact;
  }

  std::optional<std::string> key_of(size_t index, const StageReference& reference) {
    HclValue value;
    if (reference.literal_key) {
      value = from_plain_value(*reference.literal_key);
    } else {
      HclScope scope;
      scope.parent = &out_.modules_[reference.module]->evaluation->scope();
      if (!out_.instances_[index].each.is_null()) scope.variables["each"] = out_.instances_[index].each;
      value = evaluate_hcl(*reference.key, scope, diagnostics_);
    }
    auto text = hcl_convert(value, HclType::string());
    if (!text || !text->has_content()) return std::nullopt;
    return text->as_string();
  }

  std::optional<size_t> instance_with_key(size_t stage, const std::string& key) {
    if (!by_key_.count(stage)) {
      auto& keys = by_key_[stage];
      for (size_t other : out_.of_stage_[stage]) keys[out_.instances_[other].each.find("key")->as_string()] = other;
    }
    auto found = by_key_[stage].find(key);
    return found == by_key_[stage].end() ? std::nullopt : std::optional(found->second);
  }

  /// Depth first without recursion; a stage as a whole is a node of its own, so that a fan-in of many on many is
  /// no square of edges.
  void sort() {
    size_t instances = out_.instances_.size();
    enum class State : char { untouched, open, done };
    std::vector<State> state(instances + out_.stages_.size(), State::untouched);
    struct Frame {
      size_t node;
      size_t next;
    };
    std::vector<Frame> stack;
    auto need_of = [&](size_t node, size_t at) -> std::optional<size_t> {
      if (node >= instances) {
        const auto& members = out_.of_stage_[node - instances];
        return at < members.size() ? std::optional(members[at]) : std::nullopt;
      }
      const auto& needs = out_.instances_[node].needs;
      if (at >= needs.size()) return std::nullopt;
      return needs[at].instance ? *needs[at].instance : instances + needs[at].stage;
    };
    for (size_t root = 0; root < instances; ++root) {
      if (state[root] != State::untouched) continue;
      state[root] = State::open;
      stack.push_back({root, 0});
      while (!stack.empty()) {
        Frame& top = stack.back();
        auto need = need_of(top.node, top.next);
        if (!need) {
          state[top.node] = State::done;
          if (top.node < instances) out_.order_.push_back(top.node);
          stack.pop_back();
          continue;
        }
        ++top.next;
        if (state[*need] == State::open) {
          report_circle(stack.begin(), stack.end(), *need, instances);
          out_.order_.clear();
          return;
        }
        if (state[*need] == State::untouched) {
          state[*need] = State::open;
          stack.push_back({*need, 0});
        }
      }
    }
  }

  template <class Frames>
  void report_circle(Frames begin, Frames end, size_t need, size_t instances) {
    std::vector<std::string> names;
    bool within = false;
    SourceRange range;
    for (auto frame = begin; frame != end; ++frame) {
      within |= frame->node == need;
      if (!within || frame->node >= instances) continue;
      const auto& instance = out_.instances_[frame->node];
      names.push_back(instance.name);
      if (!range.known() && frame->next > 0 && frame->next <= instance.needs.size())
        range = instance.needs[frame->next - 1].range;
    }
    if (names.size() > 8) {
      names.resize(8);
      names.push_back("...");
    }
    if (names.size() == 1) {
      diagnostics_.error("Stage needs itself", fmt::format("Stage {} refers to its own artifact.", names[0]), range,
                         "Within its test and publish blocks the stage's own artifact is called `artifact`.");
      return;
    }
    diagnostics_.error("Circle of stages",
                       fmt::format("Each of these needs the next, and the last the first: {}.", join(names, ", ")),
                       range);
  }

  Pipeline& out_;
  const PipelineModuleFinder& find_module_;
  Diagnostics& diagnostics_;
  size_t module_ = 0;  ///< that is being read
  bool settings_seen_ = false;
  bool defaults_seen_ = false;
  std::set<std::string> output_names_;
  std::map<size_t, std::vector<StageReference>> references_;
  std::set<const StageReference*> told_;
  std::map<size_t, std::map<std::string, size_t>> by_key_;
};

Pipeline::Pipeline(std::shared_ptr<const PackerHcl> config, const HclEnvironment& environment,
                   const std::string& directory, const PipelineModuleFinder& find_module, Diagnostics& diagnostics)
    : environment_(environment), results_(std::make_unique<Results>()) {
  settings_.name = pipeline_name_of(config->path);
  auto whole = std::make_unique<Module>();
  whole->directory = directory;
  whole->config = std::move(config);
  whole->environment = environment;
  whole->evaluation = std::make_unique<HclEvaluation>(whole->config, environment);
  whole->evaluation->evaluate_all(diagnostics);
  modules_.push_back(std::move(whole));
  if (!diagnostics.has_errors()) Reader(*this, find_module, diagnostics).read();
}

Pipeline::~Pipeline() = default;

}  // namespace kiln
