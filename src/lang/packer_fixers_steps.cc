// Fixers of provisioners and post-processors.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "lang/packer_fixers.h"

namespace kiln::packer_fix {
namespace {

bool has_type(const Value& step, std::string_view type) {
  const std::string* own = find_text(step, "type");
  return own && *own == type;
}

/// Strings of a list, or of one text split at commas; whatever else is none. Throws when a list holds something else.
std::vector<std::string> tags_of(const std::optional<Value>& value, const char* key) {
  std::vector<std::string> tags;
  if (value && value->is_string()) tags = split(value->as_string(), ',');
  if (!value || !value->is_list()) return tags;
  for (const auto& item : value->as_list()) {
    if (!item.is_string())
      throw Error(ErrorKind::user,
                  fmt::format("'{}' must be a list of strings, it holds a {}", key, to_string(item.kind())));
    tags.push_back(item.as_string());
  }
  return tags;
}

std::string without_powershell_escapes(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    bool escaped =
        text[i] == '`' && i + 1 < text.size() && std::string_view("$\"`'").find(text[i + 1]) != std::string_view::npos;
    out += escaped ? text[++i] : text[i];
  }
  return out;
}

/// nullopt: no list of texts.
std::optional<Value> unescaped_list(const Value& given) {
  Value::List list;
  if (given.is_null()) return Value(std::move(list));
  if (!given.is_list()) return std::nullopt;
  for (const auto& item : given.as_list()) {
    if (!item.is_string() && !item.is_null()) return std::nullopt;
    list.emplace_back(item.is_null() ? std::string() : without_powershell_escapes(item.as_string()));
  }
  return Value(std::move(list));
}

}  // namespace

void each_provisioner(Value& root, const std::function<void(Value&)>& change) {
  const Value* given = root.find("provisioners");
  for (const auto& member : root.as_object()) {
    if (!given && lower(member.key) == "provisioners") given = &member.value;
  }
  if (!given || given->is_null() || (given->is_object() && given->as_object().empty())) return;
  Value list = given->is_list() ? *given : Value(Value::List{*given});
  if (list.as_list().empty()) return;
  for (auto& provisioner : list.as_list()) {
    if (provisioner.is_object()) change(provisioner);
  }
  root.set("provisioners", std::move(list));
}

void each_post_processor(Value& root, const std::function<void(Value&)>& change) {
  for (auto& member : root.as_object()) {
    if (member.key != "post-processors" || member.value.is_null()) continue;
    if (!member.value.is_list()) {
      const Value& wrong = member.value;
      std::string_view kind = wrong.is_object()                     ? "map"
                              : wrong.kind() == Value::Kind::number ? "float64"
                                                                    : to_string(wrong.kind());
      throw Error(
          ErrorKind::user,
          fmt::format("1 error(s) decoding:\n\n* 'post-processors': source data must be an array or slice, got {}",
                      kind));
    }
    for (auto& item : member.value.as_list()) {
      if (item.is_object()) change(item);
      if (!item.is_list()) continue;
      for (auto& one : item.as_list()) {
        if (one.is_object()) change(one);
      }
    }
  }
}

void fix_vagrant_override(Value& root) {
  each_post_processor(root, [](Value& step) {
    if (!has_type(step, "vagrant")) return;
    Value override = Value::empty_object();
    for (const char* provider : {"aws", "digitalocean", "virtualbox", "vmware"}) {
      if (auto settings = step.take(provider)) override.set(provider, std::move(*settings));
    }
    if (!override.as_object().empty()) step.set("override", std::move(override));
  });
}

void fix_manifest_filename(Value& root) {
  each_post_processor(root, [](Value& step) {
    if (has_type(step, "manifest") && find_text(step, "filename")) step.set("output", *step.take("filename"));
  });
}

void fix_docker_email(Value& root) {
  const Value* steps = root.find("post-processors");
  if (!steps || steps->is_null()) return;  // Packer then leaves the builders alone too.
  each_builder(root, [](Value& builder, std::string_view) { builder.take("login_email"); });
  each_post_processor(root, [](Value& step) { step.take("login_email"); });
}

void fix_docker_tags(Value& root) {
  each_post_processor(root, [](Value& step) {
    if (!has_type(step, "docker-tag")) return;
    std::vector<std::string> tags = tags_of(step.take("tag"), "tag");
    for (auto& tag : tags_of(step.take("tags"), "tags")) tags.push_back(std::move(tag));
    Value::List all;
    for (auto& tag : tags) {
      if (std::find(all.begin(), all.end(), Value(tag)) == all.end()) all.emplace_back(std::move(tag));
    }
    step.set("tags", Value(std::move(all)));
  });
}

void fix_powershell_escapes(Value& root) {
  each_provisioner(root, [](Value& step) {
    if (!has_type(step, "powershell")) return;
    for (const char* key : {"elevated_user", "elevated_password"}) {
      if (step.find(key) && !find_text(step, key))
        throw Error(ErrorKind::user, fmt::format("powershell: '{}' must be a string", key));
    }
    if (const Value* variables = step.find("environment_vars")) {
      auto list = unescaped_list(*variables);
      if (!list) return;  // Packer then leaves the rest alone too.
      step.set("environment_vars", std::move(*list));
    }
    for (auto& member : step.as_object()) {
      if (!is_one_of(member.key, {"elevated_user", "elevated_password"})) continue;
      member.value = Value(without_powershell_escapes(member.value.as_string()));
    }
  });
}

void fix_galaxy_command(Value& root) {
  each_provisioner(root, [](Value& step) {
    if (!has_type(step, "ansible-local")) return;
    if (step.find("galaxy_command")) step.take("galaxycommand");
    if (find_text(step, "galaxycommand")) step.set("galaxy_command", *step.take("galaxycommand"));
  });
}

}  // namespace kiln::packer_fix
