// Files of an HCL2 template to names and bodies: blocks, required_version, required_plugins, declarations.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/text.h"
#include "lang/hcl_body.h"
#include "lang/hcl_json.h"
#include "lang/hcl_write.h"
#include "lang/packer_hcl.h"
#include "lang/packer_hcl_internal.h"
#include "lang/plugin_layout.h"
#include "lang/version.h"

namespace kiln {

namespace {

HclSchema template_schema(const std::vector<HclBlockSchema>& more) {
  HclSchema schema{{},
                   {{"packer", {}},
                    {"variables", {}},
                    {"variable", {"name"}},
                    {"locals", {}},
                    {"local", {"name"}},
                    {"data", {"type", "name"}},
                    {"source", {"type", "name"}},
                    {"build", {}},
                    {"hcp_packer_registry", {}},
                    {"communicator", {"type", "name"}}}};
  schema.blocks.insert(schema.blocks.end(), more.begin(), more.end());
  return schema;
}

/// Reads all files; what is declared twice is told.
class PackerHclReader {
 public:
  PackerHclReader(const std::string& packer_version, const HclHost& host, const std::vector<HclBlockSchema>& more,
                  Diagnostics& diagnostics)
      : packer_version_(packer_version), host_(host), schema_(template_schema(more)), diagnostics_(diagnostics) {}

  PackerHcl read(const std::vector<std::shared_ptr<const SourceFile>>& files);

 private:
  HclBody parse(const std::shared_ptr<const SourceFile>& file);
  void check_version(const HclBody& body);
  void block(const HclBlock& block);
  void packer_block(const HclBlock& block);
  void required_plugins(const HclBlock& block);
  void required_plugin(const HclAttribute& attribute, const HclBlock& block);
  void variable_block(const HclBlock& block);
  void variable_default(HclVariable& variable, const HclAttribute& attribute);
  void validation(HclVariable& variable, const HclBlock& block);
  void variables_block(const HclBlock& block);
  void add_variable(HclVariable variable);
  void locals_block(const HclBlock& block);
  void local_block(const HclBlock& block);
  void add_local(HclLocal local);
  void component(const HclBlock& block, std::vector<HclComponentBlock>& out, std::string_view kind);
  void registry(const HclBlock& block);
  std::optional<HclValue> constant(const HclAttribute& attribute, const HclType& type);
  std::string text_of(const HclAttribute& attribute);

  const std::string& packer_version_;
  const HclHost& host_;
  HclSchema schema_;
  Diagnostics& diagnostics_;
  PackerHcl out_;
  std::set<std::string> variable_names_;
  std::unordered_map<std::string, size_t> local_names_;      ///< and which of the locals it is
  std::unordered_map<std::string, SourceRange> components_;  ///< "source.null.x" and where it is
};

HclBody PackerHclReader::parse(const std::shared_ptr<const SourceFile>& file) {
  return file->name.ends_with(".json") ? parse_hcl_json(file, diagnostics_) : parse_hcl(file, diagnostics_);
}

std::optional<HclValue> PackerHclReader::constant(const HclAttribute& attribute, const HclType& type) {
  HclScope scope;
  Diagnostics found;
  HclValue value = evaluate_hcl(*attribute.expression.tree(), scope, found);
  if (!found.has_errors()) {
    std::string why;
    auto converted = hcl_convert(value, type, &why);
    if (converted) return converted;
    found.error("Unsuitable value type", "Unsuitable value: " + why, attribute.expression.range());
  }
  diagnostics_.append(found);
  return std::nullopt;
}

std::string PackerHclReader::text_of(const HclAttribute& attribute) {
  auto value = constant(attribute, HclType::string());
  return value && value->has_content() ? value->as_string() : "";
}

void PackerHclReader::check_version(const HclBody& body) {
  HclBody rest;
  Diagnostics ignored;
  for (const auto& packer : hcl_partial_content(body, {{}, {{"packer", {}}}}, rest, ignored).blocks) {
    HclBody other;
    auto content = hcl_partial_content(packer.body, {{{"required_version"}}, {}}, other, ignored);
    const HclAttribute* wanted = content.find("required_version");
    if (!wanted) continue;
    SourceRange range = wanted->expression.range();
    auto value = constant(*wanted, HclType::string());
    if (!value || !value->has_content()) continue;
    const std::string& text = value->as_string();
    auto constraint = VersionConstraint::parse(text);
    if (!constraint) {
      diagnostics_.error("Invalid version constraint",
                         "This string does not use correct version constraint syntax. See "
                         "https://www.packer.io/docs/templates/hcl_templates/blocks/packer#version-constraints "
                         "for more information.",
                         range);
    } else if (!constraint->allows(packer_version_)) {
      diagnostics_.error(
          "Unsupported Packer Core version",
          fmt::format("This configuration does not support Packer version {}. To proceed, either choose "
                      "another supported Packer version or update this version constraint. Version "
                      "constraints are normally set for good reason, so updating the constraint may lead "
                      "to other errors or unexpected behavior.",
                      packer_version_),
          range);
    }
  }
}

PackerHcl PackerHclReader::read(const std::vector<std::shared_ptr<const SourceFile>>& files) {
  out_.files = files;
  std::vector<HclBody> bodies;
  bodies.reserve(files.size());
  for (const auto& file : files) bodies.push_back(parse(file));
  if (diagnostics_.has_errors()) return std::move(out_);
  for (const auto& body : bodies) check_version(body);
  if (diagnostics_.has_errors()) return std::move(out_);
  for (const auto& body : bodies) {
    for (const auto& one : hcl_content(body, schema_, diagnostics_).blocks) block(one);
  }
  return std::move(out_);
}

void PackerHclReader::block(const HclBlock& block) {
  if (block.type == "packer") packer_block(block);
  else if (block.type == "variable") variable_block(block);
  else if (block.type == "variables") variables_block(block);
  else if (block.type == "locals") locals_block(block);
  else if (block.type == "local") local_block(block);
  else if (block.type == "data") component(block, out_.data, "data");
  else if (block.type == "source") component(block, out_.sources, "source");
  else if (block.type == "build") out_.builds.push_back(block);
  else if (block.type == "hcp_packer_registry") registry(block);
  else if (block.type != "communicator") out_.more.push_back(block);
}

void PackerHclReader::packer_block(const HclBlock& block) {
  auto content = hcl_content(block.body, {{{"required_version"}}, {{"required_plugins", {}}}}, diagnostics_);
  for (const auto& one : content.blocks) required_plugins(one);
}

void PackerHclReader::required_plugins(const HclBlock& block) {
  for (const auto& attribute : hcl_just_attributes(block.body, diagnostics_)) required_plugin(attribute, block);
}

void PackerHclReader::required_plugin(const HclAttribute& attribute, const HclBlock& block) {
  auto same = std::find_if(out_.required_plugins.begin(), out_.required_plugins.end(),
                           [&](const auto& other) { return other.name == attribute.name; });
  if (same != out_.required_plugins.end()) {
    out_.late.error(fmt::format("Duplicate required_plugin.{} block", go_quote(attribute.name)),
                    fmt::format("Block previously seen at {} is already named {}.\nNames at the left hand side of "
                                "required_plugins are made available to use in your HCL2 configurations.\nTo allow to "
                                "calling to their features correctly two plugins have to have different accessors.",
                                hcl_place(same->range), go_quote(attribute.name)),
                    block.header);
    return;
  }
  HclScope scope;
  Diagnostics found;
  HclValue value = evaluate_hcl(*attribute.expression.tree(), scope, found);
  diagnostics_.append(found);
  if (found.has_errors()) return;
  SourceRange range = attribute.expression.range();
  if (!value.type().is(HclType::Kind::object) || !value.has_content()) {
    auto as_text = hcl_convert(value, HclType::string());
    std::string wanted = as_text && as_text->has_content() ? as_text->as_string() : "1.0.0";
    diagnostics_.error(
        "Invalid plugin requirement",
        fmt::format("'{0} = {1}' plugin requirement calls are not possible. You must define a whole block. "
                    "For example:\n{0} = {{\n  source  = \"github.com/hashicorp/{0}\"\n  version = {1}\n}}",
                    attribute.name, go_quote(wanted)),
        range);
    return;
  }
  HclRequiredPlugin plugin{attribute.name, "", "", range};
  for (const auto& [name, member] : value.members()) {
    bool text = member.has_content() && member.type().is(HclType::Kind::string);
    if (name == "version") {
      if (!text || !VersionConstraint::parse(member.as_string())) {
        diagnostics_.error("Invalid version constraint",
                           "This string does not use correct version constraint syntax. See "
                           "https://www.packer.io/docs/templates/hcl_templates/blocks/packer#version-constraint-syntax "
                           "for docs." +
                               (text ? "\nmalformed constraint: " + member.as_string() : ""),
                           range);
        return;
      }
      plugin.version = member.as_string();
      if (VersionConstraint::parse(plugin.version)->has_prerelease()) {
        diagnostics_.error("Invalid version constraint",
                           fmt::format("Unsupported prerelease for constraint {}", go_quote(plugin.version)), range);
        return;
      }
    } else if (name == "source") {
      if (!text) {
        diagnostics_.error("Invalid source", "Source must be specified as a string", range);
        return;
      }
      plugin.source = member.as_string();
      if (auto wrong = invalid_plugin_source(plugin.source)) {
        diagnostics_.error("Failed to parse source", *wrong, range);
        return;
      }
    } else {
      diagnostics_.error(
          "Invalid required_plugins object",
          fmt::format("required_plugins objects can only contain \"version\" and \"source\" attributes. "
                      "To configure a plugin, write it into the blocks of its components; \"{}\" is unknown.",
                      name),
          range);
      return;
    }
  }
  if (plugin.version.empty()) {
    diagnostics_.error("No version constraint was set",
                       "The version field must be specified as a string. Ex: `version = \">= 1.2.0, < 2.0.0\". See "
                       "https://www.packer.io/docs/templates/hcl_templates/blocks/packer#version-constraints for docs",
                       range);
    return;
  }
  if (plugin.source.empty()) {
    diagnostics_.error(
        "No source was set",
        "The source field must be specified as a string. Ex: `source = \"coolcloud\". See "
        "https://www.packer.io/docs/templates/hcl_templates/blocks/packer#specifying-plugin-requirements "
        "for docs",
        range);
    return;
  }
  out_.required_plugins.push_back(std::move(plugin));
}

void PackerHclReader::add_variable(HclVariable variable) {
  if (!is_hcl_identifier(variable.name)) {
    diagnostics_.error("Invalid variable name",
                       "A name must start with a letter or underscore and may contain only letters, digits, "
                       "underscores, and dashes.",
                       variable.range);
    return;
  }
  if (!variable_names_.insert(variable.name).second) {
    diagnostics_.error("Duplicate variable",
                       fmt::format("Duplicate {} variable definition found.", variable.name), variable.range);
    return;
  }
  out_.variables.push_back(std::move(variable));
}

void PackerHclReader::variable_default(HclVariable& variable, const HclAttribute& attribute) {
  HclScope scope;
  scope.functions = hcl_variable_functions;
  scope.host = &host_;
  Diagnostics found;
  HclValue value = evaluate_hcl(*attribute.expression.tree(), scope, found);
  diagnostics_.append(found);
  if (found.has_errors()) return;
  SourceRange range = attribute.expression.range();
  if (variable.typed) {
    std::string why;
    auto converted = hcl_convert(hcl_apply_defaults(value, variable.constraint), variable.constraint.type, &why);
    if (!converted) {
      diagnostics_.error("Invalid default value for variable",
                         fmt::format("This default value is not compatible with the variable's type constraint: {}.",
                                     why),
                         range);
      converted = HclValue::unknown(variable.constraint.type.without_optional());
    }
    value = *converted;
  } else if (!value.is_null() && !is_empty_collection(value)) {
    variable.typed = true;
    variable.constraint.type = value.type();
  }
  variable.default_value = value;
  variable.value_range = range;
}

void PackerHclReader::variable_block(const HclBlock& block) {
  static const HclSchema schema{{{"description"}, {"default"}, {"type"}, {"sensitive"}}, {{"validation", {}}}};
  HclVariable variable;
  variable.name = block.labels[0].text;
  variable.range = block.header;
  auto content = hcl_content(block.body, schema, diagnostics_);
  if (const auto* one = content.find("description")) variable.description = text_of(*one);
  if (const auto* one = content.find("sensitive")) {
    auto value = constant(*one, HclType::boolean());
    variable.sensitive = value && value->has_content() && value->as_boolean();
  }
  if (const auto* one = content.find("type")) {
    if (auto type = hcl_type_constraint(*one->expression.tree(), diagnostics_)) {
      variable.constraint = *type;
      variable.typed = true;
    }
  }
  if (const auto* one = content.find("default")) variable_default(variable, *one);
  for (const auto& one : content.blocks) validation(variable, one);
  add_variable(std::move(variable));
}

void PackerHclReader::validation(HclVariable& variable, const HclBlock& block) {
  static const HclSchema schema{{{"condition", true}, {"error_message", true}}, {}};
  auto content = hcl_content(block.body, schema, diagnostics_);
  HclVariable::Validation rule;
  rule.range = block.header;
  if (const auto* condition = content.find("condition")) {
    rule.condition = condition->expression.tree();
    rule.condition_range = condition->expression.range();
    bool refers = false, others = false;
    for (const auto& reference : hcl_references(*rule.condition)) {
      bool self = reference.root == "var" && !reference.steps.empty() && reference.steps[0].name == variable.name;
      refers |= self;
      if (!self) others = true;
    }
    if (others) {
      diagnostics_.error(
          "Invalid reference in variable validation",
          fmt::format("The condition for variable {} can only refer to the variable itself, using var.{}.",
                      go_quote(variable.name), variable.name),
          rule.condition_range);
    }
    if (!refers) {
      diagnostics_.error(
          "Invalid variable validation condition",
          fmt::format("The condition for variable {} must refer to var.{} in order to test incoming values.",
                      go_quote(variable.name), variable.name),
          rule.condition_range);
    }
    if (others || !refers) {
      rule.condition = nullptr;
    }
  }
  if (const auto* message = content.find("error_message")) {
    Diagnostics before;
    rule.error_message = text_of(*message);
    if (rule.error_message.empty()) {
      diagnostics_.error("Invalid validation error message", "An empty string is not a valid nor useful error message.",
                         message->expression.range());
    } else if (!looks_like_sentences(rule.error_message)) {
      diagnostics_.error(
          "Invalid validation error message",
          "Validation error message must be at least one full sentence starting with an uppercase letter "
          "( if the alphabet permits it ) and ending with a period or question mark.",
          message->expression.range());
    }
  }
  if (rule.condition) variable.validations.push_back(std::move(rule));
}

void PackerHclReader::variables_block(const HclBlock& block) {
  for (const auto& attribute : hcl_just_attributes(block.body, diagnostics_)) {
    HclVariable variable;
    variable.name = attribute.name;
    variable.range = attribute.range;
    variable_default(variable, attribute);
    add_variable(std::move(variable));
  }
}

void PackerHclReader::add_local(HclLocal local) {
  auto [first, added] = local_names_.emplace(local.name, out_.locals.size());
  if (!added) {
    diagnostics_.error("Duplicate local definition",
                       fmt::format("Local variable {} is defined twice in your templates. Other definition found at {}",
                                   go_quote(local.name),
                                   go_quote(hcl_place(out_.locals[first->second].expression.range()))),
                       local.expression.range());
    return;
  }
  out_.locals.push_back(std::move(local));
}

void PackerHclReader::locals_block(const HclBlock& block) {
  auto attributes = hcl_just_attributes(block.body, diagnostics_);
  if (out_.locals.empty()) out_.locals.reserve(attributes.size());  // most templates have one such block
  for (auto& attribute : attributes) add_local({std::move(attribute.name), std::move(attribute.expression), false});
}

void PackerHclReader::local_block(const HclBlock& block) {
  static const HclSchema schema{{{"expression", true}, {"sensitive"}}, {}};
  HclLocal local{block.labels[0].text, {}, false};
  auto content = hcl_content(block.body, schema, diagnostics_);
  if (const auto* one = content.find("sensitive")) {
    auto value = constant(*one, HclType::boolean());
    local.sensitive = value && value->has_content() && value->as_boolean();
  }
  const auto* expression = content.find("expression");
  if (!expression) return;
  local.expression = expression->expression;
  if (!is_hcl_identifier(local.name)) {
    diagnostics_.error("Invalid local name",
                       "A name must start with a letter or underscore and may contain only letters, digits, "
                       "underscores, and dashes.",
                       block.labels[0].range);
    return;
  }
  add_local(std::move(local));
}

void PackerHclReader::component(const HclBlock& block, std::vector<HclComponentBlock>& out, std::string_view kind) {
  HclComponentBlock one{block.labels[0].text, block.labels[1].text, block.body, block.header};
  if (kind == "data" && (!is_hcl_identifier(one.type) || !is_hcl_identifier(one.name))) {
    diagnostics_.error("Invalid data source name",
                       "A name must start with a letter or underscore and may contain only letters, digits, "
                       "underscores, and dashes.",
                       block.header);
    return;
  }
  auto [first, added] = components_.emplace(fmt::format("{}.{}.{}", kind, one.type, one.name), one.range);
  if (!added) {
    bool source = kind == "source";
    (source ? out_.late : diagnostics_)
        .error(
            fmt::format("Duplicate {} block", kind),
            fmt::format("This {} block has the same {} type and name as a previous block declared at {}. Each {} must "
                        "have a unique name per builder type.",
                        kind, source ? "builder" : "data", hcl_place(first->second), kind),
            one.range);
    return;
  }
  out.push_back(std::move(one));
}

void PackerHclReader::registry(const HclBlock& block) {
  if (!out_.registries.empty()) {
    out_.late.error("Multiple HCP Packer registry block declaration",
                    "Multiple hcp_packer_registry blocks have been found, only one can be defined in HCL2 templates.\n"
                    "Starting with Packer 1.12.1, it is recommended to move it to the top-level configuration instead "
                    "of within a build block.",
                    block.header);
    return;
  }
  check_hcp_registry(block, out_.late);
  out_.registries.push_back(block);
}

}  // namespace

HclVariable* PackerHcl::find_variable(std::string_view name) {
  for (auto& variable : variables) {
    if (variable.name == name) return &variable;
  }
  return nullptr;
}

void check_hcp_registry(const HclBlock& block, Diagnostics& diagnostics) {
  static const HclSchema schema{{{"bucket_name"}, {"description"}, {"labels"}, {"bucket_labels"}, {"build_labels"},
                                 {"channels"}},
                                {}};
  auto content = hcl_content(block.body, schema, diagnostics);
  HclType texts = HclType::map(HclType::string());
  auto value = [&](std::string_view name, const HclType& type) -> std::optional<HclValue> {
    const auto* attribute = content.find(name);
    // What it says of variables is no matter here: the registry is not used.
    if (!attribute || !hcl_references(*attribute->expression.tree()).empty()) return std::nullopt;
    HclScope scope;
    scope.functions = hcl_functions;
    Diagnostics ignored;
    HclValue found = evaluate_hcl(*attribute->expression.tree(), scope, ignored);
    if (ignored.has_errors()) return std::nullopt;
    std::string why;
    auto converted = hcl_convert(found, type, &why);
    SourceRange range = attribute->expression.range();
    if (!converted) diagnostics.error("Unsuitable value type", "Unsuitable value: " + why, range);
    return converted && converted->has_content() ? converted : std::nullopt;
  };
  if (auto name = value("bucket_name", HclType::string()); name && !is_bucket_name(name->as_string())) {
    diagnostics.error(
        "hcp_packer_registry.bucket_name can only contain between 3 and 36 ASCII letters, numbers and hyphens", "",
        block.header);
  }
  if (auto text = value("description", HclType::string()); text && text->as_string().size() > 255) {
    diagnostics.error("hcp_packer_registry.description should have a maximum length of 255 characters", "",
                      block.header);
  }
  if (content.find("labels") && !content.find("bucket_labels")) {
    diagnostics.warning(
        "the argument hcp_packer_registry.labels has been deprecated and will be removed in the next minor release; "
        "please use hcp_packer_registry.bucket_labels",
        "", block.header);
  }
  if (content.find("labels") && content.find("bucket_labels")) {
    diagnostics.error(
        "hcp_packer_registry.labels and hcp_packer_registry.bucket_labels are mutually exclusive; please use the "
        "recommended argument hcp_packer_registry.bucket_labels",
        "", block.header);
  }
  for (auto name : {"labels", "bucket_labels", "build_labels"}) value(name, texts);
  value("channels", HclType::list(HclType::string()));
}

PackerHcl parse_packer_hcl(const std::vector<std::shared_ptr<const SourceFile>>& files,
                           const std::string& packer_version, const HclHost& host, Diagnostics& diagnostics,
                           const std::vector<HclBlockSchema>& more) {
  return PackerHclReader(packer_version, host, more, diagnostics).read(files);
}

}  // namespace kiln
