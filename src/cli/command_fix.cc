// fix: an old template brought up to date, on standard output (packer-surface 1.4, 1.5).
#include <fmt/format.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/diagnostic_text.h"
#include "core/template_check.h"
#include "lang/packer_fix.h"
#include "lang/packer_json.h"

namespace kiln {

namespace {

/// The file's text; throws in Packer's words.
std::string read_template_to_fix(const std::string& path) {
  std::error_code ignored;
  // The path is opened as it is: "-" is a file of that name, as for Packer.
  if (path.empty() || !fs::exists(path, ignored))
    throw Error(ErrorKind::user, fmt::format("Error opening template: open {}: no such file or directory", path));
  try {
    return read_file(path);
  } catch (const Error& error) {
    throw Error(error.kind(), "Error opening template: " + error.message());
  }
}

/// What is wrong with the fixed template as a whole; its components are not asked. Empty: nothing.
std::string mistakes_of(const std::string& path, const std::string& text) {
  Diagnostics diagnostics;
  Template parsed = parse_packer_json(std::make_shared<SourceFile>(SourceFile{path, text}), diagnostics);
  if (diagnostics.has_errors()) return "fails to parse: " + packer_parse_error_text(diagnostics);
  parsed.min_packer_version.clear();  // not looked at here
  check_template(parsed, packer_version, diagnostics);
  if (!diagnostics.has_errors()) return "";
  std::vector<std::string> texts;
  for (const auto& item : diagnostics.items()) texts.push_back(item.summary.empty() ? item.detail : item.summary);
  return "failed to validate: " + multierror_text(texts);
}

}  // namespace

int run_fix(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  const std::string& path = arguments[0];
  std::error_code ignored;
  if (path.ends_with(".pkr.hcl") || path.ends_with(".pkr.json") || fs::is_directory(path, ignored)) {
    invocation.ui().error("packer fix only works with JSON files for now.");
    return 1;
  }
  auto file = std::make_shared<SourceFile>(SourceFile{path, read_template_to_fix(path)});
  Value root;
  try {
    root = parse_json_to_fix(file);
  } catch (const Error& error) {
    throw Error(error.kind(), "Error parsing template: " + error.message());
  }
  try {
    root = fix_packer_json(std::move(root));
  } catch (const Error& error) {
    throw Error(error.kind(), "Error fixing: " + error.message());
  }
  std::string fixed = go_indented_json(root) + "\n";
  invocation.ui().say(fixed);
  if (!options.validate_fixed) return 0;
  std::string mistakes = mistakes_of(path, fixed);
  if (mistakes.empty()) return 0;
  invocation.ui().error(
      fmt::format("Error! Fixed template {}\n\nThis is usually caused by an error in the input template.\n"
                  "Please fix the error and try again.",
                  mistakes));
  return 1;
}

}  // namespace kiln
