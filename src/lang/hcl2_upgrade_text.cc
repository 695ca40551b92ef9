#include "lang/hcl2_upgrade_text.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <map>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/go_template_ast.h"

namespace kiln::hcl2_upgrade {
namespace {

using go_template::StandInFunctions;
using Arguments = std::vector<std::string>;

const std::string function_pages = "https://www.packer.io/docs/templates/hcl_templates/functions/string/";

/// A function that HCL2 has in another form, which only a person can bring it into.
struct ByHand {
  std::string advice;
  std::string pages;
};

const std::map<std::string, ByHand>& by_hand_table() {
  static const std::string replacing =
      "`replace(string, substring, replacement)` or `regex_replace(string, substring, replacement)`";
  static const std::string replacing_pages = function_pages + "replace or " + function_pages + "regex_replace";
  static const std::map<std::string, ByHand> table = {
      {"lower", {"`lower(var.example)`", function_pages + "lower"}},
      {"upper", {"`upper(var.example)`", function_pages + "upper"}},
      {"split", {"`split(separator, string)`", function_pages + "split"}},
      {"replace", {replacing, replacing_pages}},
      {"replace_all", {replacing, replacing_pages}},
      {"clean_resource_name",
       {"use custom validation rules, " + replacing,
        "https://packer.io/docs/templates/hcl_templates/variables#custom-validation-rules , " + replacing_pages}},
  };
  return table;
}

std::string complaint(const std::string& name) {
  const ByHand& by_hand = by_hand_table().at(name);
  return fmt::format(
      "# unhandled \"{0}\" call:\n# there is no way to automatically upgrade the \"{0}\" call.\n"
      "# Please manually upgrade to {1}\n# Visit {2} for more infos.",
      name, by_hand.advice, by_hand.pages);
}

/// The comment that stands over a block whose calls a person has to look at.
std::string complaints_comment(const std::vector<std::string>& complaints) {
  bool one = complaints.size() == 1;
  return fmt::format("\n# {} {} occurred upgrading the following block:\n{}{}", complaints.size(),
                     one ? "error" : "errors", join(complaints, "\n\n"), one ? "\n" : "");
}

struct Untranslatable {
  std::string comment;
};

std::string first_replaced(std::string text, std::string_view old_text, std::string_view new_text) {
  size_t at = text.find(old_text);
  return at == std::string::npos ? text : text.replace(at, old_text.size(), new_text);
}

/// An error text of the template engine, under the name Packer's template has here.
std::string named_error(std::string error) {
  error = first_replaced(std::move(error), "template: root:", "template: hcl2_upgrade:");
  error = first_replaced(std::move(error), ": executing \"root\" at <", ": executing \"hcl2_upgrade\" at <");
  return first_replaced(std::move(error), " started at root:", " started at hcl2_upgrade:");
}

[[noreturn]] void fail_template(const std::string& error) {
  throw Untranslatable{
      fmt::format("\n# could not parse template for following block: {}\n", go_quote(named_error(error)))};
}

std::string node_type(go_template::NodeKind kind) {
  using go_template::NodeKind;
  switch (kind) {
    case NodeKind::if_clause: return "IfNode";
    case NodeKind::range_clause: return "RangeNode";
    case NodeKind::with_clause: return "WithNode";
    case NodeKind::template_call: return "TemplateNode";
    default: return "Node";
  }
}

/// One word that is none of our functions: `.Name`, `$x`, a constant. Such an action stays an action.
bool is_kept(const go_template::Node& action, const StandInFunctions& table) {
  const auto& commands = action.pipe->children;
  if (commands.size() != 1 || commands[0]->children.size() != 1) return false;
  const auto& word = *commands[0]->children[0];
  return word.kind != go_template::NodeKind::identifier || table.count(word.text) == 0;
}

/// The template again, with the actions that stay written so that they come out as text.
std::string keep_plain_actions(const go_template::Tree& tree, const StandInFunctions& table) {
  std::string out;
  for (const auto& node : tree.root->children) {
    if (node->kind == go_template::NodeKind::text) {
      out += node->text;
    } else if (node->kind != go_template::NodeKind::action) {
      throw Untranslatable{"\n# unhandled node type *parse." + node_type(node->kind) + "\n"};
    } else if (is_kept(*node, table)) {
      const auto& argument = *node->pipe->children[0]->children[0];
      bool nested = argument.kind == go_template::NodeKind::pipeline;
      std::string text = go_template::to_string(argument);
      out += "{{`{{`}} " + (nested ? "(" + text + ")" : text) + " {{`}}`}}";
    } else {
      out += go_template::to_string(*node);
    }
  }
  return out;
}

go_template::Tree parse_for(const std::string& text, const StandInFunctions& table) {
  return go_template::parse(text, [&](std::string_view name) { return go_template::is_function(name, {}, &table); });
}

/// Throws SyntaxError. No data: every .Field is missing.
Rendered run_template(const std::string& text, const StandInFunctions& table) {
  go_template::Budget budget;
  return go_template::execute(parse_for(text, table), {}, {}, budget, &table);
}

/// The text with the escapes of HCL taken out of its actions; what stands between them stays in the string.
std::string unescape_actions(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t begin = text.find("{{");
    size_t end = begin == std::string_view::npos ? begin : text.find("}}", begin);
    if (end == std::string_view::npos) break;
    std::string action(text.substr(begin, end - begin));
    out += text.substr(0, begin);
    out += go_unquote("\"" + action + "\"").value_or(action);
    text.remove_prefix(end);
  }
  return out.append(text);
}

/// {{user \"x\"}}, as HCL writes {{user "x"}} in a string: the quotes of calls are taken out of their escapes.
std::string unescape_calls(const std::string& text) {
  static const RE2 calls(R"(\{\{\s*\w*\s*(\\".*\\")\s*\w*\s*\}\})");
  std::string out;
  re2::StringPiece rest(text);
  re2::StringPiece groups[2];
  while (calls.Match(rest, 0, rest.size(), RE2::UNANCHORED, groups, 2)) {
    out.append(rest.data(), static_cast<size_t>(groups[0].data() - rest.data()));
    std::string_view found(groups[0].data(), groups[0].size());
    // A bare quote ends the string: Packer leaves such a line as it is.
    bool one_string = go_unquote("\"" + std::string(groups[1].data(), groups[1].size()) + "\"").has_value();
    out += one_string ? unescape_actions(found) : std::string(found);
    rest.remove_prefix(static_cast<size_t>(groups[0].data() + groups[0].size() - rest.data()));
  }
  return out.append(rest.data(), rest.size());
}

/// Runs the block as a template; throws Untranslatable. `unescaped` gets the text as it was tried last.
std::string run_block(const std::string& block, const StandInFunctions& table, std::string& tried) {
  std::string kept;
  try {
    kept = keep_plain_actions(parse_for(block, table), table);
  } catch (const go_template::SyntaxError& error) {
    if (!contains(error.message, "unexpected \"\\\\\" in operand")) fail_template(error.message);
    std::string unescaped = unescape_calls(block);
    try {
      kept = keep_plain_actions(parse_for(unescaped, table), table);
    } catch (const go_template::SyntaxError& again) {
      tried = unescaped;
      fail_template(again.message);
    }
  }
  try {
    Rendered rendered = run_template(kept, table);
    if (!rendered.ok()) fail_template(*rendered.error);
    return rendered.text;
  } catch (const go_template::SyntaxError& error) {
    fail_template(error.message);
  }
}

std::string constant_call(const char* text, const Arguments&) { return text; }

}  // namespace

std::string Translator::secret(const Arguments& arguments) {
  const std::string& name = arguments[0];
  std::string key = arguments.size() == 2 ? arguments[1] : "";
  // Without a key, any read of that secret will do; of several, Packer takes the last.
  size_t at = secrets.size();
  for (size_t i = 0; i < secrets.size(); ++i) {
    if (secrets[i].name == name && (key.empty() || secrets[i].key == key)) at = i;
  }
  if (at == secrets.size()) secrets.push_back({name, key});
  return fmt::format("${{data.amazon-secretsmanager.autogenerated_{}.value}}", at + 1);
}

StandInFunctions Translator::functions(bool in_variables, std::vector<std::string>& complaints) {
  StandInFunctions table;
  for (auto [name, hcl] : {std::pair{"pwd", "${path.cwd}"},
                           {"template_dir", "${path.root}"},
                           {"packer_version", "${packer.version}"},
                           {"uuid", "${uuidv4()}"},
                           {"build_name", "${build.name}"},
                           {"build_type", "${build.type}"}}) {
    table[name] = {"", [hcl = hcl](const Arguments& arguments) { return constant_call(hcl, arguments); }};
  }
  table["timestamp"] = {"", [this](const Arguments&) {
                          uses_timestamp = true;
                          return std::string("${local.timestamp}");
                        }};
  auto legacy_time = [](bool& used, const char* name) {
    return [&used, name](const Arguments& arguments) {
      if (arguments.empty()) return std::string("${timestamp()}");
      used = true;
      return fmt::format("${{legacy_{}(\"{}\")}}", name, arguments[0]);
    };
  };
  table["isotime"] = {"s*", legacy_time(uses_isotime, "isotime")};
  table["strftime"] = {"s*", legacy_time(uses_strftime, "strftime")};
  table["user"] = {"s", [this](const Arguments& a) {
                     return fmt::format("${{{}.{}}}", locals.count(a[0]) ? "local" : "var", a[0]);
                   }};
  table["env"] = {"s", [](const Arguments& a) { return fmt::format("${{env({})}}", go_quote(a[0])); }};
  table["build"] = {"s", [](const Arguments& a) { return "${build." + a[0] + "}"; }};
  table["data"] = {"s",
                   [](const Arguments& a) { return "${data." + a[0] + "}"; }};  // ours: how sources name their images
  table["aws_secretsmanager"] = {"ss*", [this](const Arguments& a) { return secret(a); }};
  auto by_hand = [&](const std::string& name, const char* parameters, const char* shape) {
    table[name] = {parameters, [&complaints, name, shape](const Arguments& a) {
                     complaints.push_back(complaint(name));
                     return fmt::format(fmt::runtime(shape), name, a[0], a.size() > 1 ? a[1] : "",
                                        a.size() > 2 ? a[2] : "", a.size() > 3 ? a[3] : "");
                   }};
  };
  for (auto name : {"lower", "upper", "clean_resource_name"}) by_hand(name, "s", "{{{{ {0} `{1}` }}}}");
  by_hand("split", "ssi", "{{{{ {0} `{1}` `{2}` {3} }}}}");
  by_hand("replace", "ssis", "{{{{ {0} `{1}` `{2}` `{4}` {3} }}}}");
  by_hand("replace_all", "sss", "{{{{ {0} `{1}` `{2}` `{3}` }}}}");
  if (in_variables) {
    for (auto name : {"data", "build", "build_name", "build_type", "clean_resource_name"}) table.erase(name);
  }
  return table;
}

std::string Translator::translate(const std::string& block, bool in_variables) {
  std::vector<std::string> complaints;
  StandInFunctions table = functions(in_variables, complaints);
  std::string tried = block;
  try {
    std::string out = run_block(block, table, tried);
    if (complaints.empty()) return out;
    std::string comment = complaints_comment(complaints);
    // The comment must not swallow the block's first line.
    if (!comment.ends_with('\n') && !out.starts_with('\n')) comment += '\n';
    return comment + out;
  } catch (const Untranslatable& why) {
    return why.comment + tried;
  }
}

bool needs_local(const std::string& default_text) {
  bool local = false;
  StandInFunctions table;
  auto mark = [&local](const Arguments&) {
    local = true;
    return std::string();
  };
  for (auto name : {"aws_secretsmanager", "timestamp", "isotime", "strftime", "user", "uuid", "pwd", "template_dir",
                    "packer_version", "lower", "upper"}) {
    table[name] = {"s*", mark};
  }
  table["split"] = {"ssi", mark};
  table["replace"] = {"ssis", mark};
  table["replace_all"] = {"sss", mark};
  table["env"] = {"s", [](const Arguments&) { return std::string(); }};
  try {
    std::string tried;
    run_block(default_text, table, tried);
  } catch (const Untranslatable&) {
    // What was called before it failed counts.
  }
  return local;
}

std::set<std::string> used_variables(const std::string& raw) {
  std::set<std::string> names;
  StandInFunctions table;
  table["user"] = {"s", [&names](const Arguments& arguments) {
                     names.insert(arguments[0]);
                     return std::string();
                   }};
  try {
    if (run_template(raw, table).ok()) return names;
  } catch (const go_template::SyntaxError&) {
    // No template as a whole.
  }
  return {};
}

}  // namespace kiln::hcl2_upgrade
