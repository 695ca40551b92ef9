#include "lang/packer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"

namespace kiln {
namespace {

/// Packer's decoder matches names without regard to case, the exact one first.
const Value* find_fold(const Value& object, std::string_view key) {
  if (const Value* exact = object.find(key)) return exact;
  if (!object.is_object()) return nullptr;
  for (const auto& member : object.as_object()) {
    if (lower(member.key) == key) return &member.value;
  }
  return nullptr;
}

/// Go's name for the type a JSON value decodes to.
std::string go_type(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::boolean: return "bool";
    case Value::Kind::number: return "float64";
    case Value::Kind::string: return "string";
    case Value::Kind::list: return "[]interface {}";
    case Value::Kind::object: return "map[string]interface {}";
    default: return "<nil>";
  }
}

/// Go's name for the kind of a JSON value.
std::string go_kind(const Value& value) {
  if (value.is_list()) return "slice";
  if (value.is_object()) return "map";
  return go_type(value);
}

/// Go's %v of a JSON value, bounded.
std::string go_text(const Value& value, int depth = 0) {
  if (depth > 8) return "...";
  switch (value.kind()) {
    case Value::Kind::boolean: return value.as_bool() ? "true" : "false";
    case Value::Kind::number: return value.as_number().text;
    case Value::Kind::string: return value.as_string();
    case Value::Kind::list: {
      std::vector<std::string> parts;
      for (const auto& item : value.as_list()) parts.push_back(go_text(item, depth + 1));
      return "[" + join(parts, " ") + "]";
    }
    case Value::Kind::object: {
      std::vector<std::string> parts;
      for (const auto& member : value.as_object()) parts.push_back(member.key + ":" + go_text(member.value, depth + 1));
      std::sort(parts.begin(), parts.end());
      return "map[" + join(parts, " ") + "]";
    }
    default: return "<nil>";
  }
}

std::string wrong_type_text(std::string_view field, std::string_view type, const Value& value) {
  return fmt::format("'{}' expected type '{}', got unconvertible type '{}', value: '{}'", field, type, go_type(value),
                     go_text(value));
}

/// What is wrong with the members of one block, collected so that they are told as Packer does: in one message.
class DecodeErrors {
 public:
  void add(std::string text, const SourceRange& range) { items_.push_back({std::move(text), range}); }
  /// Reports as "PREFIX: N error(s) decoding:\n\n* ..."; the place is the first one's.
  void report(const std::string& prefix, Diagnostics& diagnostics) {
    if (items_.empty()) return;
    std::sort(items_.begin(), items_.end(), [](auto& a, auto& b) { return a.text < b.text; });
    std::string text = fmt::format("{}: {} error(s) decoding:\n", prefix, items_.size());
    for (const auto& item : items_) text += "\n* " + item.text;
    diagnostics.error(text, "", items_.front().range);
  }

 private:
  struct Item {
    std::string text;
    SourceRange range;
  };
  std::vector<Item> items_;
};

std::string take_string(const Value& block, std::string_view key, std::string_view field, DecodeErrors& errors) {
  const Value* value = find_fold(block, key);
  if (!value || value->is_null()) return {};
  if (value->is_string()) return value->as_string();
  errors.add(wrong_type_text(field, "string", *value), value->range);
  return {};
}

std::string take_weak_string(const Value& block, std::string_view key, std::string_view field, DecodeErrors& errors) {
  const Value* value = find_fold(block, key);
  if (value && value->kind() == Value::Kind::number) return value->as_number().text;
  if (value && value->kind() == Value::Kind::boolean) return value->as_bool() ? "1" : "0";
  return take_string(block, key, field, errors);
}

/// only/except. `weak` (provisioners): a single value is a list of one.
std::vector<std::string> take_names(const Value& block, std::string_view key, std::string_view field, bool weak,
                                    DecodeErrors& errors) {
  std::vector<std::string> names;
  const Value* value = find_fold(block, key);
  if (!value || value->is_null()) return names;
  if (!value->is_list() && !(weak && !value->is_object())) {
    errors.add(fmt::format("'{}': source data must be an array or slice, got {}", field, go_kind(*value)),
               value->range);
    return names;
  }
  const Value::List items = value->is_list() ? value->as_list() : Value::List{*value};
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].is_string()) names.push_back(items[i].as_string());
    else if (weak && items[i].kind() == Value::Kind::number) names.push_back(items[i].as_number().text);
    else if (!items[i].is_null())
      errors.add(wrong_type_text(fmt::format("{}[{}]", field, i), "string", items[i]), items[i].range);
  }
  return names;
}

/// Go's words for why time.ParseDuration refuses the text.
std::string go_duration_error(std::string_view text) {
  std::string quoted = go_quote(text);
  std::string_view rest = text;
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-')) rest.remove_prefix(1);
  size_t number = 0;
  while (number < rest.size() && (rest[number] == '.' || (rest[number] >= '0' && rest[number] <= '9'))) ++number;
  size_t unit = number;
  while (unit < rest.size() && rest[unit] != '.' && (rest[unit] < '0' || rest[unit] > '9')) ++unit;
  if (number == 0 || rest.substr(0, number) == ".") return "time: invalid duration " + quoted;
  if (unit == number) return "time: missing unit in duration " + quoted;
  if (parse_go_duration("1" + std::string(rest.substr(number, unit - number))))
    return "time: invalid duration " + quoted;
  return fmt::format("time: unknown unit {} in duration {}", go_quote(rest.substr(number, unit - number)), quoted);
}

std::chrono::nanoseconds take_duration(const Value& block, std::string_view key, DecodeErrors& errors) {
  const Value* value = find_fold(block, key);
  if (!value || value->is_null()) return {};
  if (value->is_string()) {
    if (auto duration = parse_go_duration(value->as_string())) return *duration;
    errors.add(fmt::format("error decoding '{}': {}", key, go_duration_error(value->as_string())), value->range);
    return {};
  }
  if (value->kind() == Value::Kind::boolean) return std::chrono::nanoseconds(value->as_bool() ? 1 : 0);
  if (value->kind() == Value::Kind::number) {
    double nanos = std::strtod(value->as_number().text.c_str(), nullptr);
    if (nanos > -9.2e18 && nanos < 9.2e18) return std::chrono::nanoseconds(static_cast<int64_t>(nanos));
  }
  errors.add(wrong_type_text(key, "time.Duration", *value), value->range);
  return {};
}

/// The block without its meta-keys: what the component decodes.
Value rest_of(const Value& block, std::initializer_list<std::string_view> keys) {
  Value rest = block;
  for (auto key : keys) rest.take(key);
  return rest;
}

class TemplateReader {
 public:
  TemplateReader(Template& out, Diagnostics& diagnostics) : out_(out), diagnostics_(diagnostics) {
    out_.builds.resize(1);
  }

  void read(const Value& root) {
    read_texts(root);
    read_root_keys(root);
    read_variables(root);
    if (const Value* list = list_of(root, "builders", "builders")) {
      for (size_t i = 0; i < list->as_list().size(); ++i) read_builder(list->as_list()[i], i + 1);
    }
    if (const Value* list = list_of(root, "post-processors", "post-processors")) {
      for (size_t i = 0; i < list->as_list().size(); ++i) read_post_processors(list->as_list()[i], i + 1);
    }
    if (const Value* list = list_of(root, "provisioners", "Provisioners")) {
      for (size_t i = 0; i < list->as_list().size(); ++i) {
        auto one = read_provisioner(list->as_list()[i], fmt::format("provisioner {}", i + 1));
        if (one) out_.build().provisioners.push_back(std::move(*one));
      }
    }
    const Value* cleanup = find_fold(root, "error-cleanup-provisioner");
    if (cleanup && !cleanup->is_null()) {
      out_.build().error_cleanup_provisioner = read_provisioner(*cleanup, "On Error Cleanup Provisioner error");
    }
  }

 private:
  void read_texts(const Value& root) {
    auto text = [&](std::string_view key, std::string_view field) -> std::string {
      const Value* value = find_fold(root, key);
      if (!value || value->is_null()) return {};
      if (value->is_string()) return value->as_string();
      diagnostics_.error(wrong_type_text(field, "string", *value), "", value->range);
      return {};
    };
    out_.description = text("description", "Description");
    out_.min_packer_version = text("min_packer_version", "min_packer_version");
  }

  const Value* list_of(const Value& root, std::string_view key, std::string_view field) {
    const Value* value = find_fold(root, key);
    if (!value || value->is_null()) return nullptr;
    if (value->is_list()) return value;
    diagnostics_.error(
        fmt::format("'{}': source data must be an array or slice, got {}", field, go_kind(*value)), "", value->range,
        value->is_object() ? fmt::format("\"{}\" is a list: put the block into [ ].", key) : "");
    return nullptr;
  }

  /// Comments, keys nobody knows, and keys that differ only in case from one that was taken.
  void read_root_keys(const Value& root) {
    static const std::vector<std::string> names = {
        "builders",  "description",         "error-cleanup-provisioner", "min_packer_version", "post-processors",
        "provisioners", "sensitive-variables", "variables"};
    std::set<std::string> taken;
    std::vector<const Member*> unknown;
    for (const auto& member : root.as_object()) {
      std::string key = lower(member.key);
      if (member.key.starts_with('_')) {
        if (!member.value.is_string()) {
          diagnostics_.error(
              fmt::format("Failed to cast root level comment value in comment \"{}\" to string.", member.key), "",
              member.value.range, "A root key starting with \"_\" is a comment: its value is a string.");
        }
        continue;
      }
      bool known = std::find(names.begin(), names.end(), key) != names.end() || key == "push" || key == "comments";
      const Value* winner = known ? find_fold(root, key) : nullptr;
      if (winner != &member.value) unknown.push_back(&member);
    }
    std::sort(unknown.begin(), unknown.end(), [](auto* a, auto* b) { return a->key < b->key; });
    for (const Member* member : unknown) {
      auto nearest = nearest_name(member->key, names);
      std::string hint = nearest ? fmt::format("Did you mean \"{}\"?", *nearest)
                                 : "A root key starting with \"_\" holds a comment.";
      diagnostics_.error(fmt::format("Unknown root level key in template: '{}'", member->key), "", member->key_range,
                         hint);
    }
    const Value* comments = find_fold(root, "comments");
    if (comments && !comments->is_null()) list_of(root, "comments", "Comments");
    const Value* push = find_fold(root, "push");
    if (push && !push->is_null() && !push->is_object()) {
      diagnostics_.error(fmt::format("'Push' expected a map, got '{}'", go_kind(*push)), "", push->range);
    }
  }

  void read_variables(const Value& root) {
    if (const Value* list = list_of(root, "sensitive-variables", "sensitive-variables")) {
      for (size_t i = 0; i < list->as_list().size(); ++i) {
        const Value& name = list->as_list()[i];
        if (name.is_string()) out_.sensitive_variables.push_back(name.as_string());
        else
          diagnostics_.error(wrong_type_text(fmt::format("sensitive-variables[{}]", i), "string", name), "",
                             name.range);
      }
    }
    const Value* variables = find_fold(root, "variables");
    if (!variables || variables->is_null()) return;
    if (!variables->is_object()) {
      diagnostics_.error(fmt::format("'Variables' expected a map, got '{}'", go_kind(*variables)), "",
                         variables->range);
      return;
    }
    std::vector<const Member*> wrong;
    for (const auto& member : variables->as_object()) {
      VariableDeclaration variable;
      variable.name = member.key;
      variable.range = member.key_range;
      variable.sensitive = std::count(out_.sensitive_variables.begin(), out_.sensitive_variables.end(), member.key) > 0;
      if (member.value.is_string()) variable.default_value = member.value;
      else if (!member.value.is_null()) wrong.push_back(&member);
      if (variable.default_value) variable.default_value->secret = variable.sensitive;
      out_.variables.push_back(std::move(variable));
    }
    std::sort(wrong.begin(), wrong.end(), [](auto* a, auto* b) { return a->key < b->key; });
    for (const Member* member : wrong) {
      bool scalar = !member->value.is_list() && !member->value.is_object();
      diagnostics_.error(fmt::format("variable {}: {}", member->key, wrong_type_text("", "string", member->value)), "",
                         member->value.range,
                         scalar ? fmt::format("Write it as a string: \"{}\".", go_text(member->value))
                                : "A variable of a JSON template is a string, or null when it must be given.");
    }
  }

  void read_builder(const Value& block, size_t number) {
    std::string prefix = fmt::format("builder {}", number);
    if (!block.is_object() && !block.is_null()) {
      diagnostics_.error(fmt::format("{}: '' expected a map, got '{}'", prefix, go_kind(block)), "", block.range);
      return;
    }
    DecodeErrors errors;
    SourceDeclaration source;
    source.type = take_weak_string(block, "type", "Type", errors);
    source.name = take_weak_string(block, "name", "Name", errors);
    source.range = block.range;
    errors.report(prefix, diagnostics_);
    if (source.type.empty()) {
      diagnostics_.error(prefix + ": missing 'type'", "", block.range);
      return;
    }
    if (source.name.empty()) source.name = source.type;
    for (const auto& other : out_.build().sources) {
      if (other.name != source.name) continue;
      const Value* name = find_fold(block, "name");
      diagnostics_.error(fmt::format("{}: builder with name '{}' already exists", prefix, source.name), "",
                         name ? name->range : block.range,
                         name ? "Names of builders are unique." : "Give one of them a \"name\" of its own.");
      return;
    }
    source.filter_name = source.override_name = source.name;
    source.body = constant_body(rest_of(block, {"type", "name"}));
    out_.build().sources.push_back(std::move(source));
  }

  std::optional<ProvisionerDeclaration> read_provisioner(const Value& block, const std::string& prefix) {
    std::string decoding = prefix + ": Error decoding provisioner";
    if (!block.is_object() && !block.is_null()) {
      diagnostics_.error(fmt::format("{}: '' expected a map, got '{}'", decoding, go_kind(block)), "", block.range);
      return std::nullopt;
    }
    size_t before = diagnostics_.items().size();
    DecodeErrors errors;
    ProvisionerDeclaration out;
    out.type = take_weak_string(block, "type", "Type", errors);
    out.filter.only = take_names(block, "only", "Only", true, errors);
    out.filter.except = take_names(block, "except", "Except", true, errors);
    out.pause_before = take_duration(block, "pause_before", errors);
    out.timeout = take_duration(block, "timeout", errors);
    out.max_age = take_duration(block, "max_age", errors);
    if (const Value* cache = find_fold(block, "cache"); cache && cache->kind() == Value::Kind::boolean)
      out.cache = cache->as_bool();
    else if (cache && !cache->is_null()) errors.add(wrong_type_text("cache", "bool", *cache), cache->range);
    if (const Value* retries = find_fold(block, "max_retries")) out.max_retries = *retries;
    const Value* override_value = find_fold(block, "override");
    if (override_value && override_value->is_object()) {
      for (const auto& member : override_value->as_object()) out.overrides[member.key] = member.value;
    } else if (override_value && !override_value->is_null() &&
               !(override_value->is_list() && override_value->as_list().empty())) {
      errors.add(fmt::format("'Override' expected a map, got '{}'", go_kind(*override_value)), override_value->range);
    }
    errors.report(decoding, diagnostics_);
    if (diagnostics_.items().size() > before) return std::nullopt;
    if (out.type.empty()) {
      diagnostics_.error(prefix + ": Provisioner missing 'type'", "", block.range);
      return std::nullopt;
    }
    out.range = block.range;
    out.body = constant_body(rest_of(
        block, {"type", "only", "except", "override", "pause_before", "timeout", "max_retries", "cache", "max_age"}));
    return out;
  }

  void read_post_processors(const Value& element, size_t number) {
    PostProcessorChain chain;
    if (element.is_list()) {
      size_t position = 0;
      for (const auto& item : element.as_list()) {
        std::string prefix = fmt::format("post-processor {}.{}", number, ++position);
        if (item.is_list()) {
          diagnostics_.error(prefix + ": sequence not allowed to be nested in a sequence", "", item.range);
          continue;
        }
        read_post_processor(item, prefix, ": unknown format", chain);
      }
    } else if (element.is_string() || element.is_object()) {
      read_post_processor(element, fmt::format("post-processor {}.1", number), "", chain);
    } else {
      diagnostics_.error(fmt::format("post-processor {}: bad format", number), "", element.range,
                         "A post-processor is a type name, an object, or a list of these.");
    }
    if (!chain.empty()) out_.build().post_processors.push_back(std::move(chain));
  }

  void read_post_processor(const Value& item, const std::string& prefix, std::string_view otherwise,
                           PostProcessorChain& chain) {
    PostProcessorDeclaration out;
    out.range = item.range;
    if (item.is_string()) {
      out.type = item.as_string();
      Value empty = Value::empty_object();
      empty.range = item.range;
      out.body = constant_body(std::move(empty));
    } else if (item.is_object()) {
      size_t before = diagnostics_.items().size();
      DecodeErrors errors;
      out.type = take_string(item, "type", "Type", errors);
      out.name = take_string(item, "name", "Name", errors);
      out.filter.only = take_names(item, "only", "Only", false, errors);
      out.filter.except = take_names(item, "except", "Except", false, errors);
      const Value* keep = find_fold(item, "keep_input_artifact");
      if (keep && keep->kind() == Value::Kind::boolean) out.keep_input_artifact = keep->as_bool();
      else if (keep && !keep->is_null()) errors.add(wrong_type_text("keep_input_artifact", "bool", *keep), keep->range);
      errors.report(prefix, diagnostics_);
      if (diagnostics_.items().size() > before) return;
      out.body = constant_body(rest_of(item, {"type", "name", "only", "except", "keep_input_artifact"}));
    } else {
      diagnostics_.error(prefix + std::string(otherwise), "", item.range,
                         "A post-processor is a type name or an object.");
      return;
    }
    if (out.type.empty()) {
      diagnostics_.error(prefix + ": type is required", "", item.range);
      return;
    }
    if (out.name.empty()) out.name = out.type;
    chain.push_back(std::move(out));
  }

  Template& out_;
  Diagnostics& diagnostics_;
};

/// Packer stops at these and prints them bare.
bool stands_alone(const std::string& text) {
  return text.starts_with("Error parsing JSON: ") || text.starts_with("template has duplicate field: ") ||
         text.starts_with("Failed to cast root level comment") || text.starts_with("'' expected a map");
}

std::string decoding_text(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  return fmt::format("{} error(s) decoding:\n\n* {}", texts.size(), join(texts, "\n* "));
}

}  // namespace

std::string packer_parse_error_text(const Diagnostics& diagnostics) {
  std::vector<std::string> parts;
  std::vector<std::string> decoding;
  std::vector<std::string> others;
  for (const auto& item : diagnostics.items()) {
    if (item.severity != Severity::error) continue;
    if (stands_alone(item.summary)) parts.push_back(item.summary + (item.detail.empty() ? "" : "\n" + item.detail));
    else if (item.summary.starts_with("'")) decoding.push_back(item.summary);
    else others.push_back(item.summary);
  }
  if (!decoding.empty()) parts.push_back(decoding_text(std::move(decoding)));
  if (!others.empty()) {
    std::string text = others.size() == 1 ? "1 error occurred:" : fmt::format("{} errors occurred:", others.size());
    for (const auto& other : others) text += "\n\t* " + other;
    parts.push_back(text + "\n\n");
  }
  return join(parts, "\n");
}

Template parse_packer_json(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics) {
  Template out;
  out.path = file->name;
  size_t before = diagnostics.items().size();
  Value root = parse_json(std::move(file), diagnostics);
  if (root.is_object()) {
    TemplateReader(out, diagnostics).read(root);
  } else if (diagnostics.items().size() == before && !root.is_null()) {
    diagnostics.error(fmt::format("'' expected a map, got '{}'", go_kind(root)), "", root.range,
                      "A template is an object: { \"builders\": [ ... ] }.");
  }
  return out;
}

}  // namespace kiln
