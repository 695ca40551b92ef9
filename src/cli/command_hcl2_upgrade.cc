// hcl2_upgrade: a JSON template written as HCL2 (packer-surface 3.9).
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/component_table.h"
#include "cli/diagnostic_text.h"
#include "cli/template_input.h"
#include "core/template_check.h"
#include "lang/hcl2_upgrade.h"
#include "lang/packer_json.h"

namespace kiln {

namespace {

std::string read_template_to_upgrade(const std::string& path) {
  if (path.empty()) return R"({"builders": [{"type": "null", "communicator": "none"}]})";
  if (path != "-") return read_file(path);
  std::string all;
  for (std::string part; !(part = read_some(STDIN_FILENO)).empty();) all += part;
  return all;
}

/// What would keep the template from being built; it is upgraded all the same.
std::string initialization_error(const CommandOptions& options, const Template& parsed) {
  Diagnostics diagnostics;
  check_template(parsed, packer_version, diagnostics);
  if (!diagnostics.has_errors()) resolve_variables(parsed, given_variables(options), make_scope(parsed), diagnostics);
  std::vector<std::string> texts;
  auto lacks_value = [](const std::string& text) { return text.starts_with("required variable not set"); };
  for (const auto& item : diagnostics.items())
    if (item.severity == Severity::error) texts.push_back(item.detail.empty() ? item.summary : item.detail);
  if (texts.empty()) return "";
  // Values that are missing are the only thing Packer tells: other variables may want them.
  if (std::any_of(texts.begin(), texts.end(), lacks_value)) {
    texts.erase(std::remove_if(texts.begin(), texts.end(), std::not_fn(lacks_value)), texts.end());
  }
  auto stands_alone = [](const std::string& text) {
    return text.starts_with("This template requires") || text.starts_with("min_version is invalid") ||
           text.starts_with("Failed to interpolate");
  };
  return stands_alone(texts[0]) ? texts[0] : multierror_text(texts);
}

bool knows_builder(const std::string& type) {
  return find_component(component_table().builders, type) != nullptr;
}

}  // namespace

int run_hcl2_upgrade(Invocation& invocation, CommandOptions& options,
                     const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  const std::string& path = arguments[0];
  std::string target = options.output_file.empty() ? path + ".pkr.hcl" : options.output_file;
  Ui ui = invocation.ui();
  // The file is there even when the template turns out to be none.
  if (fs::path parent = fs::path(target).parent_path(); !parent.empty()) fs::create_directories(parent);
  write_file_atomically(target, "");
  auto refuse = [&](const std::string& text) {
    ui.error(text);
    ui.error("Failed to get config from JSON");
    return 1;
  };
  std::string raw;
  std::string initialization;
  Template parsed;
  Diagnostics diagnostics;
  try {
    raw = read_template_to_upgrade(path);
    parsed = parse_packer_json(std::make_shared<SourceFile>(SourceFile{path == "-" ? "<stdin>" : path, raw}),
                               diagnostics);
    parsed.path = path;
    if (diagnostics.has_errors()) return refuse(legacy_parse_text(diagnostics));
    initialization = initialization_error(options, parsed);
  } catch (const Error& error) {
    return refuse(raw.empty() ? not_legacy_text(error.message()) : error.message());
  }
  if (!initialization.empty()) ui.error("Ignoring following initialization error: <nil>: ; " + initialization);
  Hcl2Upgrade upgrade = upgrade_to_hcl2(parsed, raw, {options.with_annotations, knows_builder});
  bool all_known = upgrade.unknown_builders.empty();
  if (!all_known) {
    ui.error(fmt::format("Ignoring following sources.Parse error: unknown builder type(s): [{}]\n",
                         join(upgrade.unknown_builders, " ")));
  }
  write_file_atomically(target, upgrade.text);
  ui.say(fmt::format("Successfully created {}. Exit {}", target, all_known ? 0 : 1));
  return all_known ? 0 : 1;
}

}  // namespace kiln
