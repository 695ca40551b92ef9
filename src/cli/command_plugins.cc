// plugins: the plug-ins that lie on this machine (packer-surface 1.8). Nothing is fetched.
#include <fmt/format.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/diagnostic_text.h"
#include "cli/environment.h"
#include "cli/plugin_directory.h"
#include "cli/plugin_requirements.h"
#include "lang/packer_json.h"

namespace kiln {

namespace {

constexpr auto describe_timeout = std::chrono::minutes(1);

int refuse_plugin(Invocation& invocation, const std::string& summary, const std::string& detail) {
  Diagnostics diagnostics;
  diagnostics.error(summary, detail);
  invocation.ui().error(hcl_text(diagnostics));
  return 1;
}

/// The constraint, if one was given. Throws Error{user} when it is none.
std::optional<VersionConstraint> given_constraint(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return std::nullopt;
  auto constraint = VersionConstraint::parse(arguments[1]);
  if (!constraint) throw Error(ErrorKind::user, "malformed constraint: " + arguments[1]);
  return constraint;
}

void check_source(const std::string& source) {
  if (auto wrong = invalid_plugin_source(source)) throw Error(ErrorKind::user, *wrong);
}

std::string described_text(const Value& description, const char* key) {
  const Value* value = description.find(key);
  return value && value->is_string() ? value->as_string() : "";
}

/// Runs PROGRAM describe. Throws Error{user} with what is wrong with the answer.
PluginDescription describe_plugin(const fs::path& program) {
  const std::string command = program.string() + " describe";
  RunResult result;
  auto refuse = [&](const std::string& why) {
    return Error(
        ErrorKind::user,
        fmt::format("Error: Failed to describe the plugin\n\nPacker failed to run {}: {}\n", command, why));
  };
  if (::access(program.c_str(), X_OK) != 0)
    throw refuse(fmt::format("fork/exec {}: permission denied", program.string()));
  try {
    result = run({{program.string(), "describe"}}, Deadline::in(describe_timeout), Stop());
  } catch (const Error& error) {
    throw refuse(error.message());
  }
  if (!result.status.ok()) throw refuse(fmt::format("exit status {}", result.status.code));
  Diagnostics diagnostics;
  Value answer = parse_first_json(std::make_shared<SourceFile>(SourceFile{command, result.out}), diagnostics);
  if (diagnostics.has_errors()) {
    std::string why = replace_all(diagnostics.items()[0].summary, "Error parsing JSON: ", "");
    throw Error(ErrorKind::user,
                fmt::format("Error: Failed to decode plugin describe info\n\n'{}' produced information that "
                            "Packer couldn't decode:\n{}\n",
                            command, why));
  }
  return {described_text(answer, "version"), described_text(answer, "api_version")};
}

int install_from_file(Invocation& invocation, const std::string& source, const std::string& given) {
  fs::path program = fs::absolute(given).lexically_normal();
  std::error_code ignored;
  if (!fs::exists(program, ignored)) {
    return refuse_plugin(
        invocation, "Unable to find plugin to promote",
        fmt::format(
            "The plugin {} failed to be opened because of an error:\nstat {}: no such file or directory",
            go_quote(source), program.string()));
  }
  if (fs::is_directory(program, ignored)) {
    return refuse_plugin(invocation, "Plugin to promote cannot be a directory",
                         "The packer plugin promote command can only install binaries, not directories");
  }
  fs::path target = install_plugin(plugin_directory(), source, program, describe_plugin(program));
  invocation.ui().say(fmt::format("Successfully installed plugin {} from {} to {}", source, program.string(),
                                  target.string()));
  return 0;
}

int remove_by_path(Invocation& invocation, const fs::path& path) {
  fs::path directory = plugin_directory();
  fs::path below = path.lexically_normal().lexically_relative(fs::absolute(directory).lexically_normal());
  if (below.empty() || *below.begin() == "..") {
    return refuse_plugin(
        invocation, "Invalid plugin location",
        fmt::format("The path {} is not under the plugin directory inferred by Packer ({}) and will not be "
                    "removed.",
                    go_quote(path.string()), directory.string()));
  }
  try {
    remove_plugin(path);
  } catch (const Error& error) {
    return refuse_plugin(invocation, "Failed to delete plugin",
                         fmt::format("The plugin {} failed to be deleted with the following error: {}",
                                     go_quote(path.string()), go_quote(error.message())));
  }
  invocation.ui().say(path.string());
  return 0;
}

}  // namespace

int run_plugins(Invocation&, CommandOptions&, const std::vector<std::string>&) { return show_help; }

int run_plugins_installed(Invocation& invocation, CommandOptions&, const std::vector<std::string>&) {
  for (const auto& plugin : installed_plugins(plugin_directory())) invocation.ui().say(plugin.path.string());
  return 0;
}

int run_plugins_required(Invocation& invocation, CommandOptions& options,
                         const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  auto input = template_with_requirements(invocation, options, arguments[0]);
  if (!input) return 1;
  const auto& required = input->config->required_plugins;
  if (required.empty()) say_no_requirements(invocation);
  for (const auto& plugin : required) {
    std::string line = fmt::format("{} {} {}", plugin.name, plugin.source, go_quote(plugin.version));
    if (std::string built_in = builtin_plugin_version(plugin.source); !built_in.empty()) {
      line += " [built in: " + built_in + "]";
    }
    for (const auto& found : installed_for(plugin)) line += " " + found.path.string();
    invocation.ui().message(line);
  }
  return 0;
}

int run_plugins_install(Invocation& invocation, CommandOptions& options,
                        const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.size() > 2) {
    invocation.ui().error(fmt::format(
        "Invalid arguments, expected either 1 or 2 positional arguments, got {}", arguments.size()));
    return show_help;
  }
  const std::string& source = arguments[0];
  check_source(source);
  auto constraint = given_constraint(arguments);
  if (!options.plugin_path.empty()) return install_from_file(invocation, source, options.plugin_path);
  if (constraint && constraint->has_prerelease()) {
    throw Error(ErrorKind::user, "Unsupported prerelease for constraint " + go_quote(arguments[1]));
  }
  if (auto elsewhere = not_on_github(source)) throw Error(ErrorKind::user, multierror_text({*elsewhere}));
  if (constraint && !options.force) {
    auto found = installed_plugins(plugin_directory(), source, constraint);
    if (!found.empty()) {
      invocation.ui().say(found.back().path.string() + " is installed already");
      return 0;
    }
  }
  return refuse_plugin(invocation, "Kiln fetches no plug-ins", how_to_get_plugin(invocation, source));
}

int run_plugins_remove(Invocation& invocation, CommandOptions&, const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.size() > 2) return show_help;
  const std::string& source = arguments[0];
  if (source.starts_with('/')) {
    if (arguments.size() == 1) return remove_by_path(invocation, source);
    invocation.ui().error("Unsupported: no version constraint may be specified with a local plugin path.\n");
    return show_help;
  }
  check_source(source);
  auto found = installed_plugins(plugin_directory(), source, given_constraint(arguments));
  if (found.empty()) {
    throw Error(ErrorKind::user,
                "No installed plugin found matching the plugin constraints " + join(arguments, " "));
  }
  for (const auto& plugin : found) {
    remove_plugin(plugin.path);
    invocation.ui().say(plugin.path.string());
  }
  return 0;
}

}  // namespace kiln
