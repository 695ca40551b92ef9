#include "lang/hcl2_upgrade.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/hcl2_upgrade_notes.h"
#include "lang/hcl2_upgrade_text.h"
#include "lang/hcl_format.h"
#include "lang/hcl_write.h"

namespace kiln {
namespace {

using hcl2_upgrade::Translator;
using Members = std::map<std::string, Value>;

constexpr std::array plugin_names = {"amazon", "ansible", "azure",      "docker", "googlecompute",
                                     "qemu",   "vagrant", "virtualbox", "vmware", "vsphere"};

bool is_plain(const Value& value) { return !value.is_object() && !value.is_list() && !value.is_null(); }

bool is_block(const std::string& key, const Value& object) {
  if (key == "linux_options" || key == "network_interface" || key == "shared_image_gallery") return true;
  bool any_plain = false;
  for (const auto& member : object.as_object()) {
    if (member.value.is_object() || member.value.is_list()) return true;
    any_plain = any_plain || is_plain(member.value);
  }
  return !any_plain;
}

/// A list whose last item that is not plain is an object stands for blocks.
bool is_list_of_blocks(const Value::List& list) {
  const Value* telling = nullptr;
  for (const auto& item : list) {
    if (!is_plain(item)) telling = item.is_null() ? nullptr : &item;
    else if (!telling) telling = &item;
  }
  return telling && telling->is_object() &&
         std::all_of(list.begin(), list.end(), [](auto& item) { return item.is_object(); });
}

Members members_of(const Value& object) {
  Members members;
  if (!object.is_object()) return members;
  for (const auto& member : object.as_object()) members[member.key] = member.value;
  return members;
}

std::string body_text(const Members& members) {
  std::string out;
  auto block = [&](const std::string& key, const Value& object) {
    out += key + " {\n" + body_text(members_of(object)) + "}\n";
  };
  for (const auto& [key, value] : members) {
    if (value.is_object() && is_block(key, value)) {
      block(key, value);
    } else if (value.is_list() && value.as_list().empty()) {
      continue;
    } else if (value.is_list() && is_list_of_blocks(value.as_list())) {
      for (const auto& item : value.as_list()) block(key, item);
    } else {
      out += hcl_attribute(key, value);
    }
  }
  return out;
}

std::string block_text(const std::string& kind, const std::vector<std::string>& labels, const std::string& body) {
  std::string out = kind;
  for (const auto& label : labels) out += " " + hcl_quoted(label);
  return out + " {\n" + body + "}\n";
}

Value constant_of(const ConfigBody& body) {
  Diagnostics ignored;  // a legacy body is a constant
  return body ? body({}, ignored) : Value();
}

Value names_value(const std::vector<std::string>& names) {
  Value::List list;
  for (const auto& name : names) list.emplace_back(name);
  return Value(std::move(list));
}

void add_filter(Members& members, const BuildFilter& filter) {
  if (!filter.only.empty()) members["only"] = names_value(filter.only);
  if (!filter.except.empty()) members["except"] = names_value(filter.except);
}

std::string retries_text(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::number: return plain_decimal(std::strtod(value.as_number().text.c_str(), nullptr));
    case Value::Kind::boolean: return value.as_bool() ? "1" : "0";
    case Value::Kind::string: return value.as_string();
    default: return {};
  }
}

/// The sections of the file, in the order in which they are translated; text() puts them in the order of the file.
class Upgrade {
 public:
  Upgrade(const Template& parsed, const Hcl2UpgradeOptions& options) : parsed_(parsed), options_(options) {}

  Hcl2Upgrade run(const std::string& raw) {
    find_variables(raw);
    sort_sources();
    std::string variables = variables_section();
    std::string locals = locals_section();
    std::string images = images_section();
    std::string sources = sources_section();
    std::string build = build_section();
    std::string out = options_.with_annotations ? hcl2_upgrade::file_header : "";
    out += packer_section() + variables + secrets_section() + images + times_section() + locals + sources + build;
    result_.text = format_hcl(out);
    return std::move(result_);
  }

 private:
  struct Variable {
    std::optional<std::string> default_text;
    bool sensitive = false;
    bool is_local = false;
  };
  struct Source {
    std::string type;
    std::string name;
    Members members;
  };

  std::string annotated(const char* note, const std::string& section) const {
    if (section.empty() || !options_.with_annotations) return section;
    return note + section;
  }

  void find_variables(const std::string& raw) {
    const auto& sensitive = parsed_.sensitive_variables;
    auto is_sensitive = [&](const std::string& name) {
      return std::find(sensitive.begin(), sensitive.end(), name) != sensitive.end();
    };
    for (const auto& name : hcl2_upgrade::used_variables(raw)) variables_[name].sensitive = is_sensitive(name);
    for (const auto& variable : parsed_.variables) {
      Variable& entry = variables_[variable.name];
      entry.sensitive = variable.sensitive || is_sensitive(variable.name);
      if (variable.default_value && variable.default_value->is_string())
        entry.default_text = variable.default_value->as_string();
      entry.is_local = entry.default_text && hcl2_upgrade::needs_local(*entry.default_text);
    }
  }

  void sort_sources() {
    for (const auto& builder : parsed_.build().sources)
      sources_.push_back({builder.type, builder.name, members_of(constant_of(builder.body))});
    std::sort(sources_.begin(), sources_.end(), [](auto& a, auto& b) { return a.type + a.name < b.type + b.name; });
    for (size_t i = 0; i < sources_.size(); ++i) {
      Source& source = sources_[i];
      bool unnamed = source.name.empty() || source.name == source.type;
      source.name =
          unnamed ? fmt::format("autogenerated_{}", i + 1) : replace_all(std::string(trim(source.name)), " ", "_");
      auto is_its = [&](const char* plugin) { return source.type.starts_with(plugin); };
      bool known = options_.knows_builder(source.type) || std::any_of(plugin_names.begin(), plugin_names.end(), is_its);
      if (!known) result_.unknown_builders.push_back(source.type);
    }
  }

  std::string translated(const std::string& block, bool in_variables = false) {
    return translator_.translate(format_hcl(block), in_variables);
  }

  std::string packer_section() const {
    std::string body;
    if (!parsed_.min_packer_version.empty())
      body = hcl_attribute("required_version", Value(">= " + parsed_.min_packer_version));
    std::string plugins;
    for (const char* name : plugin_names) {
      if (!uses_plugin(name)) continue;
      plugins +=
          hcl_attribute(name, Value(Value::Object{{"source", Value(fmt::format("github.com/hashicorp/{}", name)), {}},
                                                  {"version", Value("~> 1"), {}}}));
    }
    if (!plugins.empty()) body += block_text("required_plugins", {}, plugins);
    return body.empty() ? "" : annotated(hcl2_upgrade::packer_note, block_text("packer", {}, body));
  }

  /// Packer does not look at the error-cleanup-provisioner.
  bool uses_plugin(std::string_view name) const {
    auto of_it = [&](const auto& component) { return component.type.starts_with(name); };
    auto in_chain = [&](const PostProcessorChain& chain) { return std::any_of(chain.begin(), chain.end(), of_it); };
    return std::any_of(parsed_.build().sources.begin(), parsed_.build().sources.end(), of_it) ||
           std::any_of(parsed_.build().provisioners.begin(), parsed_.build().provisioners.end(), of_it) ||
           std::any_of(parsed_.build().post_processors.begin(), parsed_.build().post_processors.end(), in_chain);
  }

  std::string variables_section() {
    std::string out;
    for (const auto& [name, variable] : variables_) {
      if (variable.is_local) continue;
      std::string body = "type = string\n";
      if (variable.default_text) body += hcl_attribute("default", Value(*variable.default_text));
      if (variable.sensitive) body += hcl_attribute("sensitive", true);
      out += translated("\n" + block_text("variable", {name}, body), true);
    }
    return annotated(hcl2_upgrade::variables_note, out);
  }

  /// Each sensitive one has a block of its own, translated when only the locals before it are known, as in Packer.
  std::string locals_section() {
    std::string out;
    std::string plain;
    for (const auto& [name, variable] : variables_) {
      if (!variable.is_local) continue;
      translator_.locals.insert(name);
      if (!variable.sensitive) {
        plain += hcl_attribute(name, Value(*variable.default_text));
        continue;
      }
      std::string body = hcl_attribute("sensitive", true) + hcl_attribute("expression", Value(*variable.default_text));
      out += translated("\n" + block_text("local", {name}, body), true);
    }
    if (!plain.empty()) out += translated("\n" + block_text("locals", {}, plain), true);
    return annotated(hcl2_upgrade::locals_note, out);
  }

  std::string secrets_section() const {
    std::string out;
    for (size_t i = 0; i < translator_.secrets.size(); ++i) {
      const auto& secret = translator_.secrets[i];
      std::string body = secret.key.empty() ? "" : hcl_attribute("key", Value(secret.key));
      body += hcl_attribute("name", Value(secret.name));
      out += "\n" + block_text("data", {"amazon-secretsmanager", fmt::format("autogenerated_{}", i + 1)}, body);
    }
    return annotated(hcl2_upgrade::secrets_note, out);
  }

  /// The source_ami_filter of Amazon builders becomes a data source, one for all that look for the same.
  std::string images_section() {
    std::string out;
    std::vector<Members> images;
    for (auto& source : sources_) {
      auto filter = source.members.find("source_ami_filter");
      if (!source.type.starts_with("amazon-") || filter == source.members.end()) continue;
      if (!filter->second.is_object()) break;
      Members image = members_of(filter->second);
      for (const char* key : hcl2_upgrade::amazon_access_keys) {
        if (auto access = source.members.find(key); access != source.members.end()) image[key] = access->second;
      }
      size_t at = static_cast<size_t>(std::find(images.begin(), images.end(), image) - images.begin());
      std::string name = fmt::format("autogenerated_{}", at + 1);
      if (at == images.size()) {
        images.push_back(image);
        out += translated("\n" + block_text("data", {"amazon-ami", name}, body_text(image)));
      }
      source.members.erase(filter);
      source.members["source_ami"] = Value("{{ data `amazon-ami." + name + ".id` }}");
    }
    return annotated(hcl2_upgrade::images_note, out);
  }

  std::string times_section() const {
    std::string out;
    if (translator_.uses_timestamp) {
      out += annotated(hcl2_upgrade::timestamp_note,
                       "\nlocals { timestamp = regex_replace(timestamp(), \"[- TZ:]\", \"\") }\n");
    }
    if (translator_.uses_isotime) out += fmt::format(hcl2_upgrade::legacy_time_note, "isotime");
    if (translator_.uses_strftime) out += fmt::format(hcl2_upgrade::legacy_time_note, "strftime");
    return out;
  }

  std::string sources_section() {
    std::string out;
    for (const auto& source : sources_) {
      out += translated("\n" + block_text("source", {source.type, source.name}, body_text(source.members)));
    }
    return annotated(hcl2_upgrade::sources_note, out);
  }

  std::string provisioner_text(const char* kind, const ProvisionerDeclaration& provisioner) {
    Members members = members_of(constant_of(provisioner.body));
    add_filter(members, provisioner.filter);
    if (provisioner.pause_before.count() != 0)
      members["pause_before"] = Value(format_go_duration(provisioner.pause_before));
    if (provisioner.timeout.count() != 0) members["timeout"] = Value(format_go_duration(provisioner.timeout));
    if (std::string retries = retries_text(provisioner.max_retries); !retries.empty())
      members["max_retries"] = Value(retries);
    return "\n" + translated(block_text(kind, {provisioner.type}, body_text(members)));
  }

  std::string chain_text(const PostProcessorChain& chain) {
    std::string out;
    for (const auto& step : chain) {
      Members members = members_of(constant_of(step.body));
      add_filter(members, step.filter);
      if (!step.name.empty() && step.name != step.type) members["name"] = Value(step.name);
      std::string body;
      if (step.keep_input_artifact) body = hcl_attribute("keep_input_artifact", *step.keep_input_artifact);
      out += block_text("post-processor", {step.type}, body + body_text(members));
    }
    return chain.size() > 1 ? block_text("post-processors", {}, out) : out;
  }

  std::string build_section() {
    if (sources_.empty()) return {};
    std::string body;
    if (!parsed_.description.empty()) body += hcl_attribute("description", Value(parsed_.description)) + "\n";
    std::vector<std::string> names;
    for (const auto& source : sources_) names.push_back("source." + source.type + "." + source.name);
    body += hcl_attribute("sources", names_value(names));
    for (const auto& provisioner : parsed_.build().provisioners) body += provisioner_text("provisioner", provisioner);
    if (parsed_.build().error_cleanup_provisioner)
      body += provisioner_text("error-cleanup-provisioner", *parsed_.build().error_cleanup_provisioner);
    body += "\n";
    for (const auto& chain : parsed_.build().post_processors) body += translated(chain_text(chain));
    return annotated(hcl2_upgrade::build_note, "\n" + block_text("build", {}, body));
  }

  const Template& parsed_;
  const Hcl2UpgradeOptions& options_;
  Translator translator_;
  std::map<std::string, Variable> variables_;
  std::vector<Source> sources_;
  Hcl2Upgrade result_;
};

}  // namespace

Hcl2Upgrade upgrade_to_hcl2(const Template& parsed, const std::string& raw, const Hcl2UpgradeOptions& options) {
  return Upgrade(parsed, options).run(raw);
}

}  // namespace kiln
