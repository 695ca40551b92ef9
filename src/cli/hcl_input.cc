#include "cli/hcl_input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/glob.h"
#include "base/text.h"
#include "cli/component_table.h"
#include "cli/diagnostic_text.h"
#include "cli/hcl_host.h"
#include "cli/template_cache.h"
#include "cli/template_input.h"
#include "lang/version.h"

extern char** environ;

namespace kiln {

namespace {

using SourceFilePtr = std::shared_ptr<const SourceFile>;

SourceFilePtr read_source(const fs::path& path) {
  return std::make_shared<SourceFile>(SourceFile{path.string(), read_file(path)});
}

/// The files of a directory whose names end so, in lexical order; "./x" is told as "x".
std::vector<fs::path> files_ending(const fs::path& directory, std::string_view ending) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::string name = entry.path().filename().string();
    if (name.ends_with(ending) && !entry.is_directory()) out.push_back((directory / name).lexically_normal());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<SourceFilePtr> template_files(const std::string& path) {
  std::vector<SourceFilePtr> out;
  if (path.empty()) return out;  // console -config-type=hcl2
  if (path == "-") {
    std::string all;
    for (std::string part; !(part = read_some(STDIN_FILENO)).empty();) all += part;
    out.push_back(std::make_shared<SourceFile>(SourceFile{"<stdin>", std::move(all)}));
  } else if (fs::is_directory(path)) {
    for (auto ending : {".pkr.hcl", ".pkr.json"}) {
      for (const auto& file : files_ending(path, ending)) out.push_back(read_source(file));
    }
    if (out.empty()) {
      throw Error(ErrorKind::user,
                  fmt::format("Error: Could not find any config file in {}\n\nA config file must be suffixed "
                              "with `.pkr.hcl` or `.pkr.json`. A folder can be\nreferenced.\n\n",
                              path));
    }
  } else {
    out.push_back(read_source(path));
  }
  return out;
}

void add_variable_files(const CommandOptions& options, const std::string& path, std::vector<SourceFilePtr>& out,
                        Diagnostics& diagnostics) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    for (auto ending : {".auto.pkrvars.hcl", ".auto.pkrvars.json"}) {
      for (const auto& file : files_ending(path, ending)) out.push_back(read_source(file));
    }
  }
  for (const auto& file : options.variable_files) {
    if (!file.ends_with(".hcl") && !file.ends_with(".json")) {
      diagnostics.error("Could not guess format of " + file, "A var file must be suffixed with `.hcl` or `.json`.");
      continue;
    }
    try {
      out.push_back(read_source(file));
    } catch (const Error& error) {
      bool json = file.ends_with(".json");
      diagnostics.error(json ? "Failed to open file" : "Failed to read file",
                        fmt::format("The {} {} could not be {}.", json ? "file" : "configuration file", go_quote(file),
                                    json ? "opened" : "read"),
                        {}, error.message());
    }
  }
}

HclVariableInput variable_input(const CommandOptions& options, const std::string& path, Diagnostics& diagnostics) {
  HclVariableInput input;
  constexpr std::string_view prefix = "PKR_VAR_";
  for (char** entry = environ; *entry; ++entry) {
    std::string_view text = *entry;
    size_t equals = text.find('=');
    if (!text.starts_with(prefix) || equals == std::string_view::npos) continue;
    input.environment.emplace_back(text.substr(prefix.size(), equals - prefix.size()), text.substr(equals + 1));
  }
  add_variable_files(options, path, input.files, diagnostics);
  input.command_line = options.variables;
  input.warn_undeclared = options.warn_on_undeclared_variable;
  return input;
}

template <class Entry>
const std::vector<OptionDoc>* docs_in(const std::vector<Entry>& entries, const std::string& type) {
  const Entry* entry = find_component(entries, type);
  return entry ? &entry->options() : nullptr;
}

template <class Entry>
std::vector<std::string> types_in(const std::vector<Entry>& entries) {
  std::vector<std::string> out;
  out.reserve(entries.size());
  for (const auto& entry : entries) out.push_back(entry.type);
  std::sort(out.begin(), out.end());
  return out;
}

HclComponentDocs component_docs() {
  HclComponentDocs out;
  out.docs = [](std::string_view kind, const std::string& type) {
    const Components& table = component_table();
    if (kind == kind_source) return docs_in(table.builders, type);
    if (kind == kind_provisioner) return docs_in(table.provisioners, type);
    if (kind == kind_post_processor) return docs_in(table.post_processors, type);
    if (kind == kind_tester) return docs_in(table.testers, type);
    return docs_in(table.data_sources, type);
  };
  out.known = [](std::string_view kind) {
    const Components& table = component_table();
    if (kind == kind_source) return types_in(table.builders);
    if (kind == kind_provisioner) return types_in(table.provisioners);
    if (kind == kind_post_processor) return types_in(table.post_processors);
    if (kind == kind_tester) return types_in(table.testers);
    return types_in(table.data_sources);
  };
  out.outputs = [](const std::string& type) -> const std::vector<OptionDoc>* {
    const auto* entry = find_component(component_table().data_sources, type);
    return entry ? &entry->outputs : nullptr;
  };
  return out;
}

/// What a data source calls a secret is shown nowhere.
void mask_secrets(const Value& value, Redactor& redactor) {
  if (value.secret && value.is_string()) redactor.add(value.as_string());
  if (!value.is_object()) return;
  for (const auto& member : value.as_object()) mask_secrets(member.value, redactor);
}

/// Strings within options are Go templates once more, here as in any other component.
HclDataRunner data_runner(const std::string& path, Redactor& redactor) {
  Template named;
  named.language = TemplateLanguage::hcl2;
  named.path = path;
  TemplateScope scope = make_scope(named);
  scope.env = nullptr;
  return [scope, &redactor](const HclComponentBlock& block, const Value& config, bool only_check,
                Diagnostics& diagnostics) -> std::optional<Value> {
    const auto* entry = find_component(component_table().data_sources, block.type);
    if (!entry) return std::nullopt;
    Diagnostics found;
    std::optional<Value> result;
    Stop stop;
    try {
      Value value = entry->make()->read({config, scope, found, stop, only_check});
      mask_secrets(value, redactor);
      if (!found.has_errors() && !only_check) result = std::move(value);
    } catch (const Error& error) {
      found.error("Datasource.Execute failed: " + error.message());
    }
    for (Diagnostic item : found.items()) {
      if (!item.range.known()) item.range = block.range;
      diagnostics.add(std::move(item));
    }
    return result;
  };
}

std::string root_of(const std::string& path) {
  if (path.empty() || path == "-") return ".";
  std::error_code ignored;
  fs::path named(path);
  fs::path root = fs::is_directory(named, ignored) ? named : named.parent_path();
  std::string text = root.lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text.empty() ? "." : text;
}

bool glob_matches(const std::string& pattern, const std::string& name) {
  std::string error;
  auto glob = Glob::compile(pattern, &error);
  return glob && glob->matches(name);
}

/// Globs that are none are told before anything else is looked at.
void check_globs(const CommandOptions& options, Diagnostics& diagnostics) {
  auto check = [&](const std::vector<std::string>& patterns, const char* flag) {
    for (const auto& pattern : patterns) {
      std::string error;
      if (!Glob::compile(pattern, &error)) {
        diagnostics.error(fmt::format("Invalid {} glob {}: {}", flag, go_quote(pattern), error));
      }
    }
  };
  check(options.only, "-only");
  check(options.except, "-except");
}

/// The host with a note of whether anything was read through it.
HclHost watched_host(HclHost host, bool& read) {
  auto watch = [&read](auto& function) {
    if (!function) return;
    function = [&read, inner = function](auto&&... arguments) {
      read = true;
      return inner(std::forward<decltype(arguments)>(arguments)...);
    };
  };
  watch(host.read_file);
  watch(host.stat);
  watch(host.list_files);
  watch(host.secret);
  return host;
}

/// With the time standing still the blocks depend on the files' text alone, unless a variable's default reads another.
std::shared_ptr<PackerHcl> read_hcl(const Invocation& invocation, const CommandOptions& options,
                                    const std::string& path, const HclHost& host,
                                    const std::vector<HclBlockSchema>& more, Diagnostics& diagnostics) {
  auto files = template_files(path);
  bool shared = invocation.templates && options.timeless && more.empty();
  if (!shared) return std::make_shared<PackerHcl>(parse_packer_hcl(files, packer_version, host, diagnostics, more));
  std::string name = host.working_directory + "\n" + path;
  auto known = invocation.templates->hcl.find(name, files);
  if (!known) {
    bool read_more = false;
    TemplateCache::Hcl parsed;
    parsed.config = parse_packer_hcl(files, packer_version, watched_host(host, read_more), parsed.warnings, more);
    if (read_more || parsed.warnings.has_errors()) {
      diagnostics.append(parsed.warnings);
      return std::make_shared<PackerHcl>(std::move(parsed.config));
    }
    known = invocation.templates->hcl.keep(name, std::move(files), std::move(parsed));
  }
  diagnostics.append(known->warnings);
  return std::make_shared<PackerHcl>(known->config);
}

}  // namespace

bool is_hcl_template(const CommandOptions& options, const std::string& path) {
  if (path.ends_with(".pkr.hcl") || path.ends_with(".pkr.json")) return true;
  std::error_code ignored;
  if (!path.empty() && path != "-" && fs::is_directory(path, ignored)) return true;
  return options.config_type == "hcl2";
}

std::optional<HclInput> load_hcl(Invocation& invocation, const CommandOptions& options, const std::string& path,
                                 DataSources data_sources, const std::vector<HclBlockSchema>& more) {
  HclInput input;
  HclEnvironment& environment = input.environment;
  environment.root_directory = root_of(path);
  environment.host = make_hcl_host(environment.root_directory);
  environment.host.secret = secret_reader(*invocation.redactor);
  if (options.timeless) stop_time(environment.host);
  environment.packer_version = packer_version;
  environment.components = component_docs();
  environment.sequential = options.sequential_evaluation;
  environment.only = options.only;
  environment.except = options.except;
  environment.matches = glob_matches;
  environment.run_data = data_runner(path, *invocation.redactor);
  environment.run_data_sources = data_sources == DataSources::run;

  Diagnostics diagnostics;
  check_globs(options, diagnostics);
  input.config = read_hcl(invocation, options, path, environment.host, more, diagnostics);
  input.config->path = path;
  if (!diagnostics.has_errors()) {
    HclVariableInput variables = variable_input(options, path, diagnostics);
    collect_hcl_variables(*input.config, variables, diagnostics);
  }
  if (diagnostics.has_errors()) {
    invocation.ui().error(hcl_text(diagnostics));
    return std::nullopt;
  }
  input.warnings = diagnostics;
  return input;
}

std::string builtin_plugin_version(const std::string& source) {
  // The versions whose options are answered for (docs/reference).
  static const std::map<std::string, std::string> versions{{"github.com/hashicorp/amazon", "1.8.2"},
                                                           {"github.com/hashicorp/qemu", "1.1.4"}};
  auto found = versions.find(source);
  return found == versions.end() ? "" : found->second;
}

namespace {

enum class BuiltIn { no, yes, newer };  // newer than the template wants it, which is no reason to refuse

BuiltIn built_in(const HclRequiredPlugin& plugin) {
  auto version = Version::parse(builtin_plugin_version(plugin.source));
  auto constraint = VersionConstraint::parse(plugin.version);
  if (!version || !constraint) return BuiltIn::no;
  if (constraint->allows(*version)) return BuiltIn::yes;
  return constraint->asks_for_older_than(*version) ? BuiltIn::newer : BuiltIn::no;
}

void warn_of_newer_plugins(const PackerHcl& config, Diagnostics& diagnostics) {
  for (const auto& plugin : config.required_plugins) {
    if (built_in(plugin) != BuiltIn::newer) continue;
    diagnostics.warning(fmt::format("The template asks for {} {}", plugin.source, plugin.version),
                        fmt::format("Its components are built in and do as those of version {}.",
                                    builtin_plugin_version(plugin.source)),
                        plugin.range);
  }
}

}  // namespace

std::vector<HclRequiredPlugin> missing_plugins(const PackerHcl& config) {
  std::vector<HclRequiredPlugin> out;
  for (const auto& plugin : config.required_plugins) {
    if (built_in(plugin) == BuiltIn::no) out.push_back(plugin);
  }
  return out;
}

void report_missing_plugins(const std::vector<HclRequiredPlugin>& missing, Diagnostics& diagnostics) {
  if (missing.empty()) return;
  std::string list;
  for (const auto& plugin : missing) list += fmt::format("\n* {} {}", plugin.source, plugin.version);
  std::string hint = "Kiln fetches no plug-ins; builds that need none of these can be chosen by -only. ";
  for (const auto& plugin : missing) {
    if (std::string version = builtin_plugin_version(plugin.source); !version.empty()) {
      hint += fmt::format("The components of {} are built in, as of version {}. ", plugin.source, version);
    }
  }
  diagnostics.error("Missing plugins",
                    "The following plugins are required, but not installed:\n" + list +
                        "\n\nDid you run packer init for this project ?",
                    {}, hint + "`docs` lists what is built in.");
}

Template lower_hcl(Invocation& invocation, HclInput& input, Diagnostics& diagnostics) {
  Template none;
  none.language = TemplateLanguage::hcl2;
  auto missing = missing_plugins(*input.config);
  if (!missing.empty() && !input.environment.selects()) {
    report_missing_plugins(missing, diagnostics);
    diagnostics.append(input.config->late);
    return none;
  }
  warn_of_newer_plugins(*input.config, diagnostics);
  validate_hcl_variables(*input.config, input.environment.host, diagnostics);
  auto evaluation = std::make_shared<HclEvaluation>(input.config, input.environment);
  for (const auto& secret : evaluation->secrets()) invocation.redactor->add(secret);
  Diagnostics found;
  Template lowered = lower_packer_hcl(evaluation, found);
  // What is left out may need them.
  if (found.has_errors()) report_missing_plugins(missing, diagnostics);
  diagnostics.append(found);
  for (const auto& secret : lowered.secrets) invocation.redactor->add(secret);
  return lowered;
}

Template outline_hcl(Invocation& invocation, HclInput& input, std::shared_ptr<HclEvaluation>& evaluation) {
  evaluation = std::make_shared<HclEvaluation>(input.config, input.environment);
  Template outline = outline_packer_hcl(evaluation);
  for (const auto& secret : evaluation->secrets()) invocation.redactor->add(secret);
  return outline;
}

}  // namespace kiln
