// Functions on files and paths. Source: Go's documentation of path/filepath, Packer's of its functions.
#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "lang/hcl_eval.h"
#include "lang/hcl_fileset.h"
#include "lang/hcl_function_kit.h"
#include "lang/hcl_json.h"

namespace kiln::hcl_fn {
namespace {

template <class F>
const F& reachable(const F& function) {
  if (!function) fail("files are not to be had here");
  return function;
}

std::string expand_home(const std::string& path, const HclHost& host) {
  if (path.empty() || path[0] != '~') return path;
  if (path.size() > 1 && path[1] != '/' && path[1] != '\\') fail("cannot expand user-specific home dir");
  if (host.home.empty()) fail("the home directory is not known");
  return clean_path(host.home + "/" + path.substr(1));
}

/// Where the person means: "~" expanded, relative to the template's directory.
std::string template_path(const std::string& path, const HclHost& host) {
  std::string expanded;
  try {
    expanded = expand_home(path, host);
  } catch (const HclFunctionError& e) {
    fail("failed to expand ~: " + e.message);
  }
  return join_path(host.base_directory, expanded);
}

std::string read_text(const std::string& path, const HclHost& host) {
  std::string where = template_path(path, host);
  std::string content;
  try {
    if (reachable(host.stat)(where).empty()) fail("no file exists at " + where);
    content = reachable(host.read_file)(where);
  } catch (const Error&) {
    fail("failed to read " + where);
  }
  if (!is_valid_utf8(content)) {
    fail(fmt::format(
        "contents of {} are not valid UTF-8; use the filebase64 function to obtain the Base64 encoded "
        "contents "
        "or the other file functions (e.g. filemd5, filesha256) to obtain file hashing results instead",
        path));
  }
  return content;
}

HclValue file_base64(const Arguments& arguments, const HclType&, const HclHost& host) {
  const std::string& path = arguments[0].as_string();
  try {
    return HclValue::string(base64_encode(reachable(host.read_file)(path)));
  } catch (const Error& e) {
    fail(fmt::format("failed to read file {}: {}", go_quote(path), e.message()));
  }
}

HclValue file_exists(const Arguments& arguments, const HclType&, const HclHost& host) {
  std::string where = template_path(arguments[0].as_string(), host);
  std::string mode;
  try {
    mode = reachable(host.stat)(where);
  } catch (const Error&) {
    fail("failed to stat " + where);
  }
  if (!mode.empty() && mode[0] != '-')
    fail(fmt::format("{} is not a regular file, but {}", where, go_quote(mode)));
  return HclValue::boolean(!mode.empty());
}

HclValue file_set(const Arguments& arguments, const HclType&, const HclHost& host) {
  std::string directory = join_path(host.base_directory, arguments[0].as_string());
  std::string pattern = clean_path(directory + "/" + arguments[1].as_string());
  std::vector<std::string> found;
  try {
    found = match_files(pattern, reachable(host.list_files));
  } catch (const Error& e) {
    fail(fmt::format("failed to glob pattern ({}): {}", pattern, e.message()));
  }
  HclValue::Items items;
  for (const auto& path : found) items.push_back(HclValue::string(relative_path(directory, path)));
  return HclValue::set(HclType::string(), std::move(items));
}

// --- templatefile ---

bool is_identifier(std::string_view name) {
  Diagnostics diagnostics;
  auto file = std::make_shared<SourceFile>(SourceFile{"", std::string(name)});
  auto expression = parse_hcl_expression(file, diagnostics);
  auto reference = expression && !diagnostics.has_errors() ? hcl_as_reference(*expression) : std::nullopt;
  return reference && reference->steps.empty() && reference->root == name;
}

[[noreturn]] void fail_template(const Diagnostics& diagnostics) {
  size_t errors = 0;
  const Diagnostic* first = nullptr;
  for (const auto& item : diagnostics.items()) {
    if (!first) first = &item;
    ++errors;
  }
  std::string out =
      first ? fmt::format("{}: {}; {}", hcl_place(*first), first->summary, first->detail) : "";
  if (errors > 1) out += fmt::format(", and {} other diagnostic(s)", errors - 1);
  fail(out);
}

const HclFunctionTable& functions_of_templates() {
  static const HclFunctionTable table = [] {
    HclFunctionTable out = hcl_functions();
    out["templatefile"].call = [](const Arguments&, const HclType&, const HclHost&) -> HclValue {
      fail("cannot recursively call templatefile from inside templatefile call");
    };
    return out;
  }();
  return table;
}

void check_template_variables(const HclExpression& expression, const HclValue& variables) {
  for (const auto& member : variables.members()) {
    if (is_identifier(member.first)) continue;
    fail(fmt::format("invalid template variable name {}: must start with a letter, followed by zero or more "
                     "letters, digits, "
                     "and underscores",
                     go_quote(member.first)),
         1);
  }
  for (const auto& reference : hcl_references(expression)) {
    if (variables.find(reference.root)) continue;
    SourceRange range = reference.range;
    range.end = range.begin + reference.root.size();
    fail(fmt::format("vars map does not contain key {}, referenced at {}", go_quote(reference.root),
                     hcl_place(range)),
         1);
  }
}

HclValue template_file(const Arguments& arguments, const HclType&, const HclHost& host) {
  const std::string& path = arguments[0].as_string();
  auto file = std::make_shared<SourceFile>(SourceFile{path, read_text(path, host)});
  Diagnostics diagnostics;
  HclExpressionPtr expression = parse_hcl_template(file, diagnostics);
  if (!expression || diagnostics.has_errors()) fail_template(diagnostics);
  if (!arguments[1].type().is_keyed()) fail("invalid vars value: must be a map", 1);
  check_template_variables(*expression, arguments[1]);
  HclScope scope;
  for (const auto& member : arguments[1].members()) scope.variables.insert(member);
  scope.functions = functions_of_templates;
  scope.host = &host;
  HclValue out = evaluate_hcl(*expression, scope, diagnostics);
  if (diagnostics.has_errors()) fail_template(diagnostics);
  return out;
}

HclFunction path_function(std::string doc,
                          std::function<std::string(const std::string&, const HclHost&)> body) {
  return function(std::move(doc), {text("path")}, always(HclType::string()),
                  [body = std::move(body)](const Arguments& a, const HclType&, const HclHost& host) {
                    return HclValue::string(body(a[0].as_string(), host));
                  });
}

}  // namespace

void add_file(HclFunctionTable& table) {
  table["abspath"] = path_function(
      "Makes a path absolute, from the working directory.",
      [](const std::string& path, const HclHost& host) { return join_path(host.working_directory, path); });
  table["basename"] =
      path_function("Returns the last part of a path.",
                    [](const std::string& path, const HclHost&) { return base_of_path(path); });
  table["dirname"] =
      path_function("Returns a path without its last part.",
                    [](const std::string& path, const HclHost&) { return directory_of_path(path); });
  table["pathexpand"] = path_function("Replaces a leading \"~\" by the home directory.", expand_home);
  table["file"] = path_function("Returns the content of a file; its path starts at the template.", read_text);
  table["filebase64"] =
      function("Returns the content of a file in base64; its path starts at the working directory.",
               {text("path")}, always(HclType::string()), file_base64);
  table["fileexists"] = function("Tells whether a file is there; its path starts at the template.",
                                 {text("path")}, always(HclType::boolean()), file_exists);
  table["fileset"] =
      function("Returns the files in a directory whose paths match a pattern such as \"**/*.sh\".",
               {text("path"), text("pattern")}, always(HclType::set(HclType::string())), file_set);
  table["templatefile"] = function("Fills in a template file with the given variables.",
                                   {text("path"), any("vars")}, always(HclType::dynamic()), template_file);
}

}  // namespace kiln::hcl_fn
