#include "lang/goss_template.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/text.h"
#include "lang/go_template_ast.h"
#include "lang/go_template_exec.h"

namespace kiln {

namespace {

using go_template::FunctionError;
using go_template::Ref;
using go_template::StandInFunctions;
using Refs = std::vector<Ref>;
using Texts = std::vector<std::string>;

Ref as_ref(Value value) { return go_template::make_ref(std::move(value)); }
bool is_set(const Ref& value) { return value != nullptr && go_template::is_true(value); }
std::string printed(const Ref& value) { return value == nullptr ? "" : go_template::print_value(value); }
Value copy(const Ref& value) { return value == nullptr ? Value() : *value; }

int64_t whole(const Ref& value) {
  std::string text = printed(value);
  if (text == "true") return 1;
  return std::strtoll(text.c_str(), nullptr, 10);
}

const Value::List& items(const Ref& value) {
  if (value == nullptr || !value->is_list()) throw FunctionError{"a list is expected"};
  return value->as_list();
}

std::unique_ptr<RE2> goss_expression(const std::string& pattern) {
  auto made = std::make_unique<RE2>(pattern, RE2::Quiet);
  if (!made->ok()) throw FunctionError{fmt::format("error parsing regexp: {}", made->error())};
  return made;
}

/// Groups by name where there are names, else by number.
Ref find_groups(const std::string& pattern, const std::string& input) {
  auto expression = goss_expression(pattern);
  int groups = expression->NumberOfCapturingGroups() + 1;
  std::vector<re2::StringPiece> found(static_cast<size_t>(groups));
  Value numbered = Value::empty_object(), named = Value::empty_object();
  if (!expression->Match(input, 0, input.size(), RE2::UNANCHORED, found.data(), groups))
    return as_ref(numbered);
  const auto& names = expression->CapturingGroupNames();
  for (int i = 0; i < groups; ++i) {
    std::string text(found[static_cast<size_t>(i)]);
    numbered.set(std::to_string(i), text);
    if (auto name = names.find(i); name != names.end()) named.set(name->second, text);
  }
  return as_ref(named.as_object().empty() ? numbered : named);
}

void add_goss_functions(StandInFunctions& table, const GossTemplateScope& scope) {
  table["mkSlice"] = {"v*", {}, [](const Refs& a) {
                        Value::List out;
                        for (const auto& item : a) out.push_back(copy(item));
                        return as_ref(Value(std::move(out)));
                      }};
  table["list"] = table["mkSlice"];
  table["readFile"] = {"s", [&scope](const Texts& a) { return std::string(trim(scope.read_file(a[0]))); }};
  table["getEnv"] = {"ss*", [&scope](const Texts& a) {
                       auto found = scope.env.find(a[0]);
                       bool known = found != scope.env.end() && !found->second.empty();
                       return known ? found->second : a.size() > 1 ? a[1] : "";
                     }};
  table["regexMatch"] = {"ss", {}, [](const Refs& a) {
                           auto expression = goss_expression(a[0]->as_string());
                           return as_ref(Value(RE2::PartialMatch(a[1]->as_string(), *expression)));
                         }};
  table["findStringSubmatch"] = {
      "ss", {}, [](const Refs& a) { return find_groups(a[0]->as_string(), a[1]->as_string()); }};
}

void add_text_functions(StandInFunctions& table) {
  table["toUpper"] = table["upper"] = {"s", [](const Texts& a) { return upper(a[0]); }};
  table["toLower"] = table["lower"] = {"s", [](const Texts& a) { return lower(a[0]); }};
  table["trim"] = {"s", [](const Texts& a) { return std::string(trim(a[0])); }};
  table["trimPrefix"] = {
      "ss", [](const Texts& a) { return a[1].starts_with(a[0]) ? a[1].substr(a[0].size()) : a[1]; }};
  table["trimSuffix"] = {"ss", [](const Texts& a) {
                           return a[1].ends_with(a[0]) ? a[1].substr(0, a[1].size() - a[0].size()) : a[1];
                         }};
  table["replace"] = {"sss", [](const Texts& a) { return replace_all(a[2], a[0], a[1]); }};
  table["repeat"] = {"is", [](const Texts& a) {
                       std::string out;
                       for (int64_t i = 0, n = std::strtoll(a[0].c_str(), nullptr, 10); i < n; ++i) {
                         out += a[1];
                         go_template::check_length(out.size());
                       }
                       return out;
                     }};
  table["contains"] = {
      "ss", {}, [](const Refs& a) { return as_ref(contains(a[1]->as_string(), a[0]->as_string())); }};
  table["hasPrefix"] = {
      "ss", {}, [](const Refs& a) { return as_ref(a[1]->as_string().starts_with(a[0]->as_string())); }};
  table["hasSuffix"] = {
      "ss", {}, [](const Refs& a) { return as_ref(a[1]->as_string().ends_with(a[0]->as_string())); }};
  table["quote"] = {"v", {}, [](const Refs& a) { return as_ref(go_quote(printed(a[0]))); }};
  table["squote"] = {"v", {}, [](const Refs& a) { return as_ref("'" + printed(a[0]) + "'"); }};
  table["toString"] = {"v", {}, [](const Refs& a) { return as_ref(printed(a[0])); }};
  table["b64enc"] = {"s", [](const Texts& a) { return base64_encode(a[0]); }};
  table["b64dec"] = {"s", [](const Texts& a) { return base64_decode(a[0]); }};
  table["indent"] = {"is", [](const Texts& a) {
                       std::string pad(std::min<size_t>(1000, std::strtoul(a[0].c_str(), nullptr, 10)), ' ');
                       return pad + replace_all(a[1], "\n", "\n" + pad);
                     }};
  table["nindent"] = {"is", [](const Texts& a) {
                        std::string pad(std::min<size_t>(1000, std::strtoul(a[0].c_str(), nullptr, 10)), ' ');
                        return "\n" + pad + replace_all(a[1], "\n", "\n" + pad);
                      }};
  table["splitList"] = {"ss", {}, [](const Refs& a) {
                          Value::List out;
                          for (auto& part : split(a[1]->as_string(), std::string_view(a[0]->as_string()))) {
                            out.emplace_back(std::move(part));
                          }
                          return as_ref(Value(std::move(out)));
                        }};
  table["join"] = {"sv", {}, [](const Refs& a) {
                     Texts parts;
                     if (a[1] == nullptr || !a[1]->is_list()) return as_ref(printed(a[1]));
                     for (const auto& item : a[1]->as_list()) parts.push_back(go_template::print_value(item));
                     return as_ref(join(parts, a[0]->as_string()));
                   }};
}

void add_value_functions(StandInFunctions& table) {
  table["default"] = {"vv", {}, [](const Refs& a) { return is_set(a[1]) ? a[1] : a[0]; }};
  table["empty"] = {"v", {}, [](const Refs& a) { return as_ref(!is_set(a[0])); }};
  table["coalesce"] = {"v*", {}, [](const Refs& a) {
                         for (const auto& one : a) {
                           if (is_set(one)) return one;
                         }
                         return Ref();
                       }};
  table["ternary"] = {"vvv", {}, [](const Refs& a) { return is_set(a[2]) ? a[0] : a[1]; }};
  table["int"] = {"v", {}, [](const Refs& a) { return as_ref(whole(a[0])); }};
  table["add"] = {"v*", {}, [](const Refs& a) {
                    uint64_t sum = 0;
                    for (const auto& one : a) sum += static_cast<uint64_t>(whole(one));
                    return as_ref(static_cast<int64_t>(sum));
                  }};
  table["sub"] = {"vv", {}, [](const Refs& a) {
                    return as_ref(static_cast<int64_t>(static_cast<uint64_t>(whole(a[0])) -
                                                       static_cast<uint64_t>(whole(a[1]))));
                  }};
  table["first"] = {
      "v", {}, [](const Refs& a) { return items(a[0]).empty() ? Ref() : as_ref(items(a[0]).front()); }};
  table["last"] = {
      "v", {}, [](const Refs& a) { return items(a[0]).empty() ? Ref() : as_ref(items(a[0]).back()); }};
  table["has"] = {"vv", {}, [](const Refs& a) {
                    const auto& all = items(a[1]);
                    return as_ref(std::find(all.begin(), all.end(), copy(a[0])) != all.end());
                  }};
  table["dict"] = {"v*", {}, [](const Refs& a) {
                     Value out = Value::empty_object();
                     for (size_t i = 0; i < a.size(); i += 2) {
                       out.set(printed(a[i]), i + 1 < a.size() ? copy(a[i + 1]) : Value(""));
                     }
                     return as_ref(std::move(out));
                   }};
  table["get"] = {"vs", {}, [](const Refs& a) {
                    const Value* found = a[0] == nullptr ? nullptr : a[0]->find(a[1]->as_string());
                    return as_ref(found == nullptr ? Value("") : *found);
                  }};
  table["hasKey"] = {"vs", {}, [](const Refs& a) {
                       return as_ref(a[0] != nullptr && a[0]->find(a[1]->as_string()) != nullptr);
                     }};
}

}  // namespace

Rendered render_goss_template(std::string_view text, const GossTemplateScope& scope) {
  if (text.find("{{") == std::string_view::npos) return {std::string(text), std::nullopt};
  if (text.size() > go_template::max_template_text)
    return {"", "template: root:1: the template is longer than 8 MiB"};
  StandInFunctions table;
  add_goss_functions(table, scope);
  add_text_functions(table);
  add_value_functions(table);
  Value dot = Value::empty_object();
  dot.set("Vars", scope.vars.is_object() ? scope.vars : Value::empty_object());
  dot.set("Env", Value(scope.env));
  TemplateScope none;
  go_template::Budget budget;
  try {
    auto tree =
        go_template::parse(text, [&](std::string_view name) { return is_function(name, none, &table); });
    return go_template::execute(tree, none, dot, budget, &table, go_template::MissingKey::error);
  } catch (const go_template::SyntaxError& error) {
    return {"", error.message};
  }
}

}  // namespace kiln
