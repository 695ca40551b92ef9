// Packer's template functions (packer-surface 4.1).
#include "lang/go_template_functions.h"

#include <fmt/format.h>
#include <locale.h>
#include <wctype.h>

#include <algorithm>
#include <ctime>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/go_time.h"

namespace kiln::go_template {
namespace {

Ref text_ref(std::string text) { return make_ref(Value(std::move(text))); }

Ref named(const std::string& text, std::string_view name) {
  if (text.empty()) throw FunctionError{fmt::format("{} not available", name)};
  return text_ref(text);
}

/// Upper or lower case of every character, whatever the locale of the process.
std::string map_case(std::string_view text, wint_t (*map)(wint_t, locale_t)) {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    auto byte = static_cast<unsigned char>(text.front());
    if (byte < 0x80) {
      bool letter = map == towupper_l ? byte >= 'a' && byte <= 'z' : byte >= 'A' && byte <= 'Z';
      out += static_cast<char>(letter ? byte ^ 0x20 : byte);
      text.remove_prefix(1);
      continue;
    }
    uint32_t rune = take_rune(text);
    append_rune(out, locale ? static_cast<uint32_t>(map(static_cast<wint_t>(rune), locale)) : rune);
  }
  return out;
}

/// The first `count` occurrences replaced (all when negative). An empty old text matches before every character and
/// at the end, as in Go.
std::string replace_some(std::string_view text, std::string_view old_text, std::string_view new_text, int64_t count) {
  std::string out;
  auto put = [&](std::string_view part) {
    check_length(out.size() + part.size());
    out += part;
  };
  if (old_text.empty()) {
    while (count != 0) {
      put(new_text);
      --count;
      if (text.empty()) return out;
      std::string_view before = text;
      take_rune(text);
      put(before.substr(0, before.size() - text.size()));
    }
    put(text);
    return out;
  }
  while (count != 0) {
    size_t at = text.find(old_text);
    if (at == std::string_view::npos) break;
    put(text.substr(0, at));
    put(new_text);
    text.remove_prefix(at + old_text.size());
    --count;
  }
  put(text);
  return out;
}

Ref run_build(const Call& call) {
  const std::string& key = call.text(0);
  const Value& data = call.scope.build_data;
  if (const Value* value = data.find(key)) {
    return text_ref(call.scope.build_data_known ? print_value(*value) : "{{." + key + "}}");
  }
  if (call.scope.build_data_known) return text_ref("<no value>");
  if (data.is_object()) throw FunctionError{fmt::format("loaded data, but couldnt find {} in it.", key)};
  throw FunctionError{fmt::format(
      "Error validating build variable: the given variable {} will not be passed into your plugin.", key)};
}

Ref run_env(const Call& call) {
  if (!call.scope.env) throw FunctionError{"env vars are not allowed here"};
  return text_ref(call.scope.env(call.text(0)).value_or(""));
}

Ref run_isotime(const Call& call) {
  if (call.size() == 0) return text_ref(format_rfc3339_utc(call.scope.started));
  if (call.size() > 1) {
    std::string given;
    for (size_t i = 0; i < call.size(); ++i) given += (i ? " " : "") + call.text(i);
    throw FunctionError{fmt::format("too many values, 1 needed: [{}]", given)};
  }
  return text_ref(format_go_time(call.scope.started, call.text(0)));
}

Ref run_split(const Call& call) {
  if (call.text(1).empty()) {
    // Go splits into characters.
    std::string_view rest = call.text(0);
    for (int64_t i = call.integer(2); !rest.empty() && i >= 0; --i) {
      std::string_view before = rest;
      take_rune(rest);
      if (i == 0) return text_ref(std::string(before.substr(0, before.size() - rest.size())));
    }
    throw FunctionError{
        fmt::format("the substring {} was unavailable using the separator value, , only {} values were found",
                    call.integer(2), call.text(0).size())};
  }
  std::vector<std::string> parts = split(call.text(0), std::string_view(call.text(1)));
  int64_t index = call.integer(2);
  if (index < 0) throw FunctionError{fmt::format("runtime error: index out of range [{}]", index)};
  if (static_cast<uint64_t>(index) >= parts.size()) {
    throw FunctionError{
        fmt::format("the substring {} was unavailable using the separator value, {}, only {} values were found", index,
                    call.text(1), parts.size())};
  }
  return text_ref(parts[static_cast<size_t>(index)]);
}

/// Time-ordered: the first eight hexadecimal digits are the time of the call.
Ref run_uuid(const Call&) {
  std::string hex = fmt::format("{:08x}", static_cast<uint32_t>(std::time(nullptr))) + hex_encode(random_bytes(12));
  return text_ref(hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" + hex.substr(16, 4) + "-" +
                  hex.substr(20));
}

Ref run_template_dir(const Call& call) {
  if (call.scope.template_dir.empty()) throw FunctionError{"template path not available"};
  return text_ref(call.scope.template_dir);
}

Ref run_user(const Call& call) {
  auto found = call.scope.user_variables.find(call.text(0));
  return text_ref(found == call.scope.user_variables.end() ? "" : found->second);
}

/// A secret store that no one has connected: TemplateScope.functions may bring the real one.
Ref refuse_store(const Call& call, std::string_view not_here, std::string_view name) {
  if (!call.scope.env) throw FunctionError{std::string(not_here)};
  throw FunctionError{fmt::format(
      "{} is not to be had here: read the value outside and give it by -var, a variable file or the environment",
      name)};
}

const std::vector<Function> packer_functions = {
    {"aws_secretsmanager", "ss*",
     [](const Call& call) {
       return refuse_store(call, "AWS Secrets Manager is only allowed in the variables section", "aws_secretsmanager");
     }},
    {"aws_secretsmanager_raw", "s",
     [](const Call& call) {
       return refuse_store(call, "AWS Secrets Manager is only allowed in the variables section",
                           "aws_secretsmanager_raw");
     }},
    {"build", "s", run_build},
    {"build_name", "", [](const Call& call) { return named(call.scope.build_name, "build_name"); }},
    {"build_type", "", [](const Call& call) { return named(call.scope.build_type, "build_type"); }},
    {"consul_key", "s",
     [](const Call& call) { return refuse_store(call, "consul_key is not allowed here", "consul_key"); }},
    {"env", "s", run_env},
    {"isotime", "s*", run_isotime},
    {"lower", "s", [](const Call& call) { return text_ref(map_case(call.text(0), towlower_l)); }},
    {"packer_version", "", [](const Call& call) { return named(call.scope.packer_version, "packer_version"); }},
    {"pwd", "", [](const Call& call) { return text_ref(call.scope.working_directory); }},
    {"replace", "ssis",
     [](const Call& call) {
       return text_ref(replace_some(call.text(3), call.text(0), call.text(1), call.integer(2)));
     }},
    {"replace_all", "sss",
     [](const Call& call) { return text_ref(replace_some(call.text(2), call.text(0), call.text(1), -1)); }},
    {"sed", "ss",
     [](const Call&) -> Ref {
       throw FunctionError{
           "template function `sed` is deprecated use `replace` or `replace_all` instead.Documentation: "
           "https://www.packer.io/docs/templates/engine"};
     }},
    {"split", "ssi", run_split},
    {"strftime", "s", [](const Call& call) { return text_ref(format_strftime(call.scope.started, call.text(0))); }},
    {"template_dir", "", run_template_dir},
    {"timestamp", "",
     [](const Call& call) {
       return text_ref(
           std::to_string(std::chrono::floor<std::chrono::seconds>(call.scope.started.time_since_epoch()).count()));
     }},
    {"upper", "s", [](const Call& call) { return text_ref(map_case(call.text(0), towupper_l)); }},
    {"user", "s", run_user},
    {"uuid", "", run_uuid},
    {"vault", "ss",
     [](const Call& call) {
       return refuse_store(call, "Vault vars are only allowed in the variables section", "vault");
     }},
};

}  // namespace

Ref make_ref(Value value) { return std::make_shared<const Value>(std::move(value)); }

void check_length(size_t length) {
  if (length > max_template_text) throw FunctionError{"the text would be longer than 8 MiB"};
}

int64_t Call::integer(size_t i) const { return std::strtoll(arguments[i]->as_number().text.c_str(), nullptr, 10); }

const Function* find_function(std::string_view name) {
  for (const auto* table : {&packer_functions, &go_functions()}) {
    auto found = std::find_if(table->begin(), table->end(), [&](const Function& f) { return f.name == name; });
    if (found != table->end()) return &*found;
  }
  return nullptr;
}

}  // namespace kiln::go_template

namespace kiln {

std::vector<std::string> template_function_names() {
  std::vector<std::string> names;
  for (const auto* table : {&go_template::packer_functions, &go_template::go_functions()}) {
    for (const auto& function : *table) names.emplace_back(function.name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace kiln
