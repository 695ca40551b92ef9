// Build blocks to BuildDeclarations: sources with their overrides, provisioners, post-processors (packer-surface 5.6, 5.7).
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "lang/hcl_body.h"
#include "lang/hcl_json.h"
#include "lang/hcl_write.h"
#include "lang/packer_hcl.h"
#include "lang/packer_hcl_internal.h"

namespace kiln {

namespace {

using Evaluation = std::shared_ptr<HclEvaluation>;

/// What an expression of a component may see besides the template's own names.
HclScope component_scope(const HclEvaluation& evaluation, const BodyInput& input, const std::string* build_name) {
  HclScope scope;
  scope.parent = &evaluation.scope();
  if (!input.source_type.empty()) {
    scope.variables["source"] = HclValue::object({{"type", HclValue::string(input.source_type)},
                                                  {"name", HclValue::string(input.source_name)}});
  }
  if (!build_name) return scope;
  HclValue unknown = HclValue::string("<unknown>");
  HclValue::Members build;
  for (auto name : {"ID", "Host", "Port", "User", "Password", "ConnType", "PackerRunUUID", "PackerHTTPPort",
                    "PackerHTTPIP", "PackerHTTPAddr", "SSHPublicKey", "SSHPrivateKey", "WinRMPassword"}) {
    build[name] = unknown;
  }
  if (input.build_data.is_object()) {
    for (const auto& member : input.build_data.as_object()) {
      build[member.key] = input.build_data_known ? from_plain_value(member.value) : unknown;
    }
  }
  build["name"] = HclValue::string(*build_name);
  scope.variables["build"] = HclValue::object(std::move(build));
  return scope;
}

/// One build block of the template, or the outline of it.
class BuildLowering {
 public:
  BuildLowering(const Evaluation& evaluation, const HclBlock& block, Diagnostics& diagnostics)
      : evaluation_(evaluation), environment_(evaluation->environment()), block_(block), diagnostics_(diagnostics) {}

  /// Takes the block apart; nothing of its components' bodies is evaluated.
  bool open();
  /// Names, then the builds that -only and -except leave.
  void select();
  size_t matched_only() const { return matched_only_; }
  size_t matched_except() const { return matched_except_; }
  const std::vector<std::string>& possible_names() const { return possible_names_; }
  /// What the selected sources and all steps refer to.
  std::vector<HclReference> references() const;
  /// All names that the block itself needs.
  std::vector<HclReference> head_references() const;
  void check_components();
  void drop_excepted();
  void check_needed_components();
  BuildDeclaration finish();

 private:
  struct SourceUse {
    std::string type;
    std::string name;
    std::string local_name;
    const HclComponentBlock* source = nullptr;
    std::optional<HclBody> more;  ///< of a source block within the build
    SourceRange range;
  };
  /// A provisioner or post-processor block, its meta-arguments taken off.
  struct Step {
    std::string_view kind;
    HclBlock block;
    HclContent meta;
    HclBody rest;
    const std::string& type() const { return block.labels[0].text; }
  };

  std::string text(const HclContent& content, std::string_view name);
  std::vector<std::string> texts(const HclAttribute& attribute);
  HclValue value_of(const HclContent& content, std::string_view name, const HclType& type);
  void listed_source(const HclAttribute& attribute);
  void add_use(const std::string& reference, const SourceRange& range, std::optional<HclBody> more);
  void open_block(const HclBlock& block);
  void find_sources();
  void check_source_types();
  std::string display_name(const SourceUse& use) const;
  Step step(const HclBlock& block, std::string_view kind);
  void read_chain(const HclBlock& block);
  const std::vector<OptionDoc>* docs_of(std::string_view kind, const std::string& type, const SourceRange& range);
  SourceDeclaration source(const SourceUse& use);
  ConfigBody source_body(const SourceUse& use);
  ConfigBody step_body(const Step& step);
  BuildFilter filter(const HclContent& meta, const SourceRange& range);
  std::chrono::nanoseconds duration(const Step& step, const char* name);
  ProvisionerDeclaration provisioner(const Step& step);
  PostProcessorDeclaration post_processor(const Step& step);
  std::map<std::string, Value> overrides(const HclContent& meta, const Step& step);

  Evaluation evaluation_;
  const HclEnvironment& environment_;
  const HclBlock& block_;
  Diagnostics& diagnostics_;
  HclContent content_;
  BuildDeclaration build_;
  std::vector<SourceUse> uses_;
  std::vector<Step> steps_;  ///< all of them, for what they refer to and whether their types exist
  std::vector<std::string> possible_names_;
  size_t matched_only_ = 0, matched_except_ = 0, registries_ = 0;
};

size_t errors(const Diagnostics& diagnostics) {
  const auto& items = diagnostics.items();
  return static_cast<size_t>(
      std::count_if(items.begin(), items.end(), [](auto& item) { return item.severity == Severity::error; }));
}

const HclSchema& build_schema() {
  static const HclSchema schema{{{"name"}, {"description"}, {"sources"}},
                                {{"from", {"type"}},
                                 {"source", {"reference"}},
                                 {"provisioner", {"type"}},
                                 {"error-cleanup-provisioner", {"type"}},
                                 {"post-processor", {"type"}},
                                 {"post-processors", {}},
                                 {"hcp_packer_registry", {}}}};
  return schema;
}

/// The meta-arguments of a step's block.
const HclSchema& meta_schema(std::string_view block_type) {
  static const HclSchema provisioner{{{"name"}, {"pause_before"}, {"max_retries"}, {"timeout"}, {"only"}, {"except"},
                                      {"override"}, {"continue_on_error"}, {"cache"}, {"max_age"}},
                                     {}};
  static const HclSchema post_processor{{{"name"}, {"only"}, {"except"}, {"keep_input_artifact"}}, {}};
  return block_type == "post-processor" ? post_processor : provisioner;
}

HclValue BuildLowering::value_of(const HclContent& content, std::string_view name, const HclType& type) {
  const HclAttribute* attribute = content.find(name);
  if (!attribute) return HclValue::null(type);
  Diagnostics found;
  BodyInput none;
  HclScope scope = component_scope(*evaluation_, none, &build_.name);
  HclValue value = evaluate_hcl(*attribute->expression.tree(), scope, found);
  std::string why;
  if (!found.has_errors()) {
    auto converted = hcl_convert(value, type, &why);
    if (converted && !converted->is_known()) {
      converted.reset();
      why = "value must be known";
    }
    if (converted) {
      diagnostics_.append(found);
      return *converted;
    }
    found.error("Unsuitable value type", "Unsuitable value: " + why, attribute->expression.range());
  }
  diagnostics_.append(found);
  return HclValue::null(type);
}

std::string BuildLowering::text(const HclContent& content, std::string_view name) {
  HclValue value = value_of(content, name, HclType::string());
  return value.has_content() ? value.as_string() : "";
}

std::vector<std::string> BuildLowering::texts(const HclAttribute& attribute) {
  HclContent one;
  one.attributes.push_back(attribute);
  HclValue list = value_of(one, attribute.name, HclType::list(HclType::string()));
  std::vector<std::string> out;
  if (list.has_content()) {
    for (const auto& item : list.items()) out.push_back(item.has_content() ? item.as_string() : "");
  }
  return out;
}

std::vector<HclReference> BuildLowering::head_references() const {
  std::vector<HclReference> out;
  auto add = [&](const HclContent& content) {
    for (const auto& attribute : content.attributes) {
      for (auto& reference : hcl_references(*attribute.expression.tree())) out.push_back(std::move(reference));
    }
  };
  Diagnostics ignored;
  HclBody rest, body;
  HclContent head = hcl_partial_content(block_.body, build_schema(), rest, ignored);
  add(head);
  // Dynamic blocks decide what is in the build; what they iterate over is needed to take it apart.
  hcl_dynamic_references(block_.body, out);
  for (const auto& block : head.blocks) {
    if (block.type == "post-processors") hcl_body_references(block.body, out);
    else if (block.type != "source") add(hcl_partial_content(block.body, meta_schema(block.type), body, ignored));
    else add(hcl_partial_content(block.body, {{{"name"}}, {}}, body, ignored));
  }
  return out;
}

bool BuildLowering::open() {
  size_t before = errors(diagnostics_);
  content_ = hcl_content(block_.body, build_schema(), diagnostics_, &evaluation_->scope());
  build_.range = block_.header;
  build_.name = text(content_, "name");
  build_.description = text(content_, "description");
  if (const auto* list = content_.find("sources")) listed_source(*list);
  for (const auto& block : content_.blocks) open_block(block);
  if (uses_.empty()) {
    diagnostics_.error("missing source reference", "a build block must reference at least one source to be built",
                       block_.header);
  }
  return errors(diagnostics_) == before;
}

void BuildLowering::open_block(const HclBlock& block) {
  if (block.type == "source") {
    add_use(block.labels[0].text, block.header, block.body);
  } else if (block.type == "provisioner") {
    build_.provisioners.push_back(provisioner(step(block, kind_provisioner)));
  } else if (block.type == "post-processor") {
    build_.post_processors.push_back({post_processor(step(block, kind_post_processor))});
  } else if (block.type == "post-processors") {
    read_chain(block);
  } else if (block.type == "hcp_packer_registry") {
    if (++registries_ > 1) diagnostics_.error("Only one hcp_packer_registry is allowed", "", block.header);
    else check_hcp_registry(block, diagnostics_);
  } else if (block.type == "error-cleanup-provisioner") {
    if (build_.error_cleanup_provisioner) {
      diagnostics_.error("Only one error-cleanup-provisioner is allowed in a build block", "", block.header);
      return;
    }
    build_.error_cleanup_provisioner = provisioner(step(block, kind_provisioner));
  }
}

void BuildLowering::listed_source(const HclAttribute& attribute) {
  for (const auto& reference : texts(attribute)) add_use(reference, attribute.expression.range(), std::nullopt);
}

void BuildLowering::add_use(const std::string& reference, const SourceRange& range, std::optional<HclBody> more) {
  auto parts = split(reference, '.');
  if (parts.size() > 2) parts.erase(parts.begin());  // "source."; Packer takes any word there
  if (parts.size() < 2 || !is_hcl_identifier(parts[0]) || !is_hcl_identifier(parts[1])) {
    diagnostics_.error("Invalid source reference",
                       "A source type is made of three parts that are split by a dot `.`; each part must start with a "
                       "letter and may contain only letters, digits, underscores, and dashes. A valid source reference "
                       "looks like: `source.type.name`",
                       block_.header, fmt::format("It is {}, at {}.", go_quote(reference), hcl_place(range)));
    return;
  }
  SourceUse use{parts[0], parts[1], parts[1], nullptr, std::move(more), range};
  if (use.more) {
    HclBody rest;
    HclContent meta = hcl_partial_content(*use.more, {{{"name"}}, {}}, rest, diagnostics_, &evaluation_->scope());
    std::string name = text(meta, "name");
    if (!name.empty()) use.local_name = name;
    use.more = std::move(rest);
  }
  uses_.push_back(std::move(use));
}

BuildLowering::Step BuildLowering::step(const HclBlock& block, std::string_view kind) {
  Step out{kind, block, {}, {}};
  out.meta = hcl_partial_content(block.body, meta_schema(block.type), out.rest, diagnostics_);
  steps_.push_back(out);
  return out;
}

void BuildLowering::read_chain(const HclBlock& block) {
  static const HclSchema schema{{}, {{"post-processor", {"type"}}}};
  PostProcessorChain chain;
  for (const auto& one : hcl_content(block.body, schema, diagnostics_, &evaluation_->scope()).blocks) {
    chain.push_back(post_processor(step(one, kind_post_processor)));
  }
  build_.post_processors.push_back(std::move(chain));
}

std::string BuildLowering::display_name(const SourceUse& use) const {
  std::string name = use.type + "." + use.local_name;
  return build_.name.empty() ? name : build_.name + "." + name;
}

void BuildLowering::find_sources() {
  std::map<std::string, const HclComponentBlock*> sources;
  for (const auto& source : evaluation_->config().sources) sources[source.type + "." + source.name] = &source;
  std::set<std::string> told;
  for (auto& use : uses_) {
    std::string wanted = use.type + "." + use.name;
    if (auto found = sources.find(wanted); found != sources.end()) {
      use.source = found->second;
      continue;
    }
    if (!environment_.components.docs(kind_source, use.type) || !told.insert(wanted).second) continue;
    std::vector<std::string> known;
    known.reserve(sources.size());
    for (const auto& [name, source] : sources) known.push_back(name);
    auto nearest = nearest_name(wanted, known);
    diagnostics_.error("Unknown source " + wanted,
                       nearest ? fmt::format("Did you mean to use {}?", go_quote(*nearest))
                               : fmt::format("Known: [{}]", join(known, " ")),
                       block_.header,
                       use.range.known() ? fmt::format("It is named at {}.", hcl_place(use.range)) : "");
  }
}

void BuildLowering::select() {
  std::vector<SourceUse> left;
  for (auto& use : uses_) {
    std::string name = display_name(use);
    possible_names_.push_back(name);
    auto matches = [&](const std::vector<std::string>& patterns) {
      return std::any_of(patterns.begin(), patterns.end(),
                         [&](const std::string& pattern) { return environment_.matches(pattern, name); });
    };
    if (!environment_.only.empty()) {
      if (!matches(environment_.only)) continue;
      ++matched_only_;
    }
    if (matches(environment_.except)) {
      ++matched_except_;
      continue;
    }
    left.push_back(std::move(use));
  }
  uses_ = std::move(left);
}

std::vector<HclReference> BuildLowering::references() const {
  std::vector<HclReference> out;
  if (uses_.empty()) return out;
  for (const auto& use : uses_) {
    hcl_body_references(use.source->body, out);
    if (use.more) hcl_body_references(*use.more, out);
  }
  for (const auto& step : steps_) hcl_body_references(step.block.body, out);
  return out;
}

const std::vector<OptionDoc>* BuildLowering::docs_of(std::string_view kind, const std::string& type,
                                                     const SourceRange& range) {
  if (const auto* docs = environment_.components.docs(kind, type)) return docs;
  auto nearest = nearest_name(type, environment_.components.known(kind));
  diagnostics_.error(fmt::format("Unknown {} type {}", kind, kind == kind_source ? type : go_quote(type)),
                     nearest ? fmt::format("Did you mean to use {}?", go_quote(*nearest))
                             : fmt::format("The {} {} is unknown by Packer, and is likely part of a plugin that is not "
                                           "installed.\nYou may find the needed plugin along with installation "
                                           "instructions documented on the Packer integrations "
                                           "page.\n\nhttps://developer.hashicorp.com/packer/integrations?filter={}",
                                           kind, type, type),
                     range);
  return nullptr;
}

void BuildLowering::check_source_types() {
  std::set<std::string> told;
  for (const auto& use : uses_) {
    if (told.insert(use.type).second) docs_of(kind_source, use.type, block_.header);
  }
}

/// Types and sources that do not exist. With -only or -except types are looked at later, when it is known which are
/// needed.
void BuildLowering::check_components() {
  if (!environment_.selects()) {
    check_source_types();
    for (const auto& step : steps_) docs_of(step.kind, step.type(), step.block.header);
  }
  find_sources();
}

/// Types that do not exist, of what -only and -except left. Packer wants those of all builds: it can fetch plug-ins.
void BuildLowering::check_needed_components() {
  if (!environment_.selects()) return;
  check_source_types();
  auto check = [&](std::string_view kind, const auto& step) {
    bool needed = std::any_of(uses_.begin(), uses_.end(), [&](const SourceUse& use) {
      return step.filter.allows(use.type + "." + use.local_name);
    });
    if (needed) docs_of(kind, step.type, step.range);
  };
  for (const auto& one : build_.provisioners) check(kind_provisioner, one);
  if (build_.error_cleanup_provisioner) check(kind_provisioner, *build_.error_cleanup_provisioner);
  for (const auto& chain : build_.post_processors) {
    for (const auto& one : chain) check(kind_post_processor, one);
  }
}

ConfigBody BuildLowering::source_body(const SourceUse& use) {
  auto evaluation = evaluation_;
  const auto* docs = environment_.components.docs(kind_source, use.type);
  HclBody body = use.source->body;
  std::optional<HclBody> more = use.more;
  return [evaluation, docs, body, more](const BodyInput& input, Diagnostics& diagnostics) {
    HclScope scope = component_scope(*evaluation, input, nullptr);
    Value config = decode_hcl_component(body, *docs, scope, diagnostics);
    if (!more) return config;
    Value added = decode_hcl_component(*more, *docs, scope, diagnostics);
    for (auto& member : added.as_object()) {
      if (const Value* first = config.find(member.key); first && !first->is_list()) {
        diagnostics.error("Duplicate argument",
                          fmt::format("The argument {} was already set at {}. Each argument may be set only once.",
                                      go_quote(member.key), hcl_place(first->range)),
                          member.value.range);
      } else if (first && member.value.is_list()) {
        Value both = *first;
        for (auto& item : member.value.as_list()) both.as_list().push_back(item);
        config.set(member.key, std::move(both));
      } else {
        config.set(member.key, std::move(member.value));
      }
    }
    return config;
  };
}

SourceDeclaration BuildLowering::source(const SourceUse& use) {
  SourceDeclaration out;
  out.type = use.type;
  out.name = use.name;
  out.display_name = display_name(use);
  out.filter_name = use.type + "." + use.local_name;
  out.override_name = use.local_name;
  if (!use.source) return out;  // an outline does not ask
  out.range = use.source->range;
  out.body = source_body(use);
  return out;
}

ConfigBody BuildLowering::step_body(const Step& step) {
  auto evaluation = evaluation_;
  HclBody body = step.rest;
  std::string build = build_.name, kind(step.kind), type = step.type();
  return [evaluation, kind, type, body, build](const BodyInput& input, Diagnostics& diagnostics) {
    HclScope scope = component_scope(*evaluation, input, &build);
    const auto* docs = evaluation->environment().components.docs(kind, type);
    return decode_hcl_component(body, *docs, scope, diagnostics);
  };
}

BuildFilter BuildLowering::filter(const HclContent& meta, const SourceRange& range) {
  BuildFilter out;
  if (const auto* only = meta.find("only")) out.only = texts(*only);
  if (const auto* except = meta.find("except")) out.except = texts(*except);
  if (!out.only.empty() && !out.except.empty()) {
    diagnostics_.error("only one of 'only' or 'except' may be specified", "", range);
  }
  return out;
}

std::chrono::nanoseconds BuildLowering::duration(const Step& step, const char* name) {
  std::string written = text(step.meta, name);
  if (written.empty()) return std::chrono::nanoseconds(0);
  if (auto parsed = parse_go_duration(written)) return *parsed;
  bool unitless = written.find_first_not_of("0123456789.") == std::string::npos;
  Diagnostic wrong;
  wrong.summary = fmt::format("Failed to parse {} duration", name);
  wrong.detail = fmt::format("time: {} duration {}", unitless ? "missing unit in" : "invalid", go_quote(written));
  wrong.range = step.meta.find(name)->expression.range();
  wrong.hint = "A duration is written like \"10s\" or \"1h30m\".";
  wrong.block = step.block.header;
  diagnostics_.add(std::move(wrong));
  return std::chrono::nanoseconds(0);
}

std::map<std::string, Value> BuildLowering::overrides(const HclContent& meta, const Step& step) {
  std::map<std::string, Value> out;
  const HclAttribute* attribute = meta.find("override");
  if (!attribute) return out;
  HclValue value = value_of(meta, "override", HclType::dynamic());
  if (value.is_null()) return out;
  bool fits = value.type().is_keyed();
  if (fits) {
    for (const auto& [name, members] : value.members()) fits &= members.has_content() && members.type().is_keyed();
  }
  if (!fits) {
    diagnostics_.error("provisioner's override block must be an HCL object", "", step.block.header);
    return out;
  }
  for (const auto& [name, members] : value.members()) {
    out[name] = to_plain_value(members, attribute->expression.range());
  }
  return out;
}

ProvisionerDeclaration BuildLowering::provisioner(const Step& step) {
  ProvisionerDeclaration out;
  out.type = step.type();
  out.range = step.block.header;
  out.name = text(step.meta, "name");
  out.filter = filter(step.meta, out.range);
  out.pause_before = duration(step, "pause_before");
  out.timeout = duration(step, "timeout");
  HclValue retries = value_of(step.meta, "max_retries", HclType::number());
  if (retries.has_content()) {
    out.max_retries = Value(Number{retries.as_number().text()});
    out.max_retries.range = step.meta.find("max_retries")->expression.range();
  }
  HclValue goes_on = value_of(step.meta, "continue_on_error", HclType::boolean());
  out.continue_on_error = goes_on.has_content() && goes_on.as_boolean();
  HclValue cached = value_of(step.meta, "cache", HclType::boolean());
  if (cached.has_content()) out.cache = cached.as_boolean();
  out.max_age = duration(step, "max_age");
  out.overrides = overrides(step.meta, step);
  out.body = step_body(step);
  return out;
}

PostProcessorDeclaration BuildLowering::post_processor(const Step& step) {
  PostProcessorDeclaration out;
  out.type = step.type();
  out.range = step.block.header;
  out.name = text(step.meta, "name");
  out.filter = filter(step.meta, out.range);
  HclValue keep = value_of(step.meta, "keep_input_artifact", HclType::boolean());
  if (keep.has_content()) out.keep_input_artifact = keep.as_boolean();
  out.body = step_body(step);
  return out;
}

/// -except names post-processors too: such a one ends its chain.
void BuildLowering::drop_excepted() {
  auto excepted = [&](const PostProcessorDeclaration& one) {
    const std::string& called = one.name.empty() ? one.type : one.name;
    return std::any_of(environment_.except.begin(), environment_.except.end(),
                       [&](const std::string& pattern) { return environment_.matches(pattern, called); });
  };
  for (auto& chain : build_.post_processors) {
    auto first = std::find_if(chain.begin(), chain.end(), excepted);
    if (first == chain.end()) continue;
    // It counts as matched once for every build that would have run it.
    matched_except_ += static_cast<size_t>(std::count_if(uses_.begin(), uses_.end(), [&](const SourceUse& use) {
      return first->filter.allows(use.type + "." + use.local_name);
    }));
    chain.erase(first, chain.end());
  }
  std::erase_if(build_.post_processors, [](const PostProcessorChain& chain) { return chain.empty(); });
}

BuildDeclaration BuildLowering::finish() {
  for (const auto& use : uses_) build_.sources.push_back(source(use));
  return std::move(build_);
}

/// Fewer builds than patterns: some pattern may be mistyped.
void warn_unmatched(const char* flag, const char* what, const std::vector<std::string>& names,
                    Diagnostics& diagnostics) {
  diagnostics.warning(fmt::format("an '{}' option was passed, but {}.", flag, what),
                      fmt::format("Possible build names: [{}].\nThese could also be matched with a glob pattern like: "
                                  "'happycloud.*'\n",
                                  join(names, " ")));
}

}  // namespace

Template lower_packer_hcl(const Evaluation& evaluation, Diagnostics& diagnostics) {
  const HclEnvironment& environment = evaluation->environment();
  bool all = !environment.selects() && !environment.only_needed;
  Template out;
  out.language = TemplateLanguage::hcl2;
  out.path = evaluation->config().path;
  if (all) evaluation->evaluate_all(diagnostics);
  diagnostics.append(evaluation->config().late);
  if (evaluation->config().builds.empty()) {
    diagnostics.error("Missing build block",
                      "A build block with one or more sources is required for executing a build.");
  }
  std::vector<std::string> names;
  size_t only = 0, except = 0;
  for (const auto& block : evaluation->config().builds) {
    BuildLowering lowering(evaluation, block, diagnostics);
    if (!all) evaluation->evaluate_for(lowering.head_references(), diagnostics);
    size_t before = errors(diagnostics);
    lowering.open();
    lowering.check_components();
    if (errors(diagnostics) != before) continue;
    lowering.select();
    only += lowering.matched_only();
    names.insert(names.end(), lowering.possible_names().begin(), lowering.possible_names().end());
    if (!all) evaluation->evaluate_for(lowering.references(), diagnostics);
    lowering.drop_excepted();
    except += lowering.matched_except();
    before = errors(diagnostics);
    lowering.check_needed_components();
    if (errors(diagnostics) == before) out.builds.push_back(lowering.finish());
  }
  if (only < environment.only.size()) {
    warn_unmatched("only", "not all matches were found for the given build", names, diagnostics);
  }
  if (except < environment.except.size()) warn_unmatched("except", "did not match any build", names, diagnostics);
  out.secrets = evaluation->secrets();
  return out;
}

Template outline_packer_hcl(const Evaluation& evaluation) {
  Diagnostics ignored;
  Template out;
  out.language = TemplateLanguage::hcl2;
  out.path = evaluation->config().path;
  evaluation->evaluate_all(ignored);
  for (const auto& block : evaluation->config().builds) {
    BuildLowering lowering(evaluation, block, ignored);
    if (lowering.open()) out.builds.push_back(lowering.finish());
  }
  out.secrets = evaluation->secrets();
  return out;
}

}  // namespace kiln
