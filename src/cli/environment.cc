#include "cli/environment.h"

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "lang/packer_json.h"

namespace kiln {

static Error configuration_error(const std::string& what) {
  return Error(ErrorKind::user, " Error loading configuration: \n\n" + what);
}

/// Single-component plug-ins of old: Packer refuses them, and so do we.
static void check_configuration(const fs::path& path, const std::string& text) {
  auto file = std::make_shared<SourceFile>(SourceFile{path.string(), text});
  Diagnostics diagnostics;
  Value root = parse_json(file, diagnostics);
  if (diagnostics.has_errors()) throw configuration_error(render_diagnostics(diagnostics));
  if (!root.is_object()) throw configuration_error(fmt::format("{}: expected an object", path.string()));
  std::string names;
  for (auto key : {"builders", "provisioners", "post-processors"}) {
    const Value* section = root.find(key);
    if (!section || !section->is_object()) continue;
    for (const auto& member : section->as_object()) {
      names += fmt::format("- {}\n", member.value.is_string() ? member.value.as_string() : member.key);
    }
  }
  if (names.empty()) return;
  throw configuration_error(fmt::format(
      "{}: Your configuration file describes some legacy components: \n{}Packer does not support these "
      "mono-component plugins anymore.\nPlease refer to our Installing Plugins docs for an overview of how "
      "to manage installation of local plugins:\n"
      "https://developer.hashicorp.com/packer/docs/plugins/install-plugins",
      path.string(), names));
}

/// One directory, not a list as Packer once took it.
static void check_plugin_path(const std::string& path) {
  if (path.find(':') == std::string::npos) return;
  std::string choices;
  for (const auto& part : split(path, ':')) choices += "\n* PACKER_PLUGIN_PATH=" + part;
  throw configuration_error(
      "Multiple paths are no longer supported for PACKER_PLUGIN_PATH.\nThis should be defined as one of the "
      "following "
      "options for your environment:" +
      choices);
}

void check_environment() {
  check_plugin_path(get_env("PACKER_PLUGIN_PATH").value_or(""));
  auto config_dir = get_env("PACKER_CONFIG_DIR").value_or("");
  auto home = get_env("HOME").value_or("");
  if (config_dir.empty() && home.empty()) {
    if (!get_env("PACKER_PLUGIN_PATH").value_or("").empty()) return;  // then Packer does not miss it
    throw configuration_error("No $HOME environment variable found, required to set Config Directory");
  }
  fs::path path = get_env("PACKER_CONFIG").value_or("");
  if (path.empty()) path = fs::path(config_dir.empty() ? home : config_dir) / ".packerconfig";
  if (auto text = read_file_if_exists(path)) check_configuration(path, *text);
}

fs::path cache_directory() {
  if (auto set = get_env("PACKER_CACHE_DIR"); set && !set->empty()) return fs::absolute(*set);
  if (auto xdg = get_env("XDG_CACHE_HOME"); xdg && !xdg->empty()) return fs::path(*xdg) / "packer";
  if (auto home = get_env("HOME"); home && !home->empty()) return fs::path(*home) / ".cache" / "packer";
  return fs::temp_directory_path() / "packer_cache";
}

fs::path plugin_directory() {
  auto set = [](const char* name) { return get_env(name).value_or(""); };
  if (std::string path = set("PACKER_PLUGIN_PATH"); !path.empty()) return path;
  if (std::string base = set("PACKER_CONFIG_DIR"); !base.empty())
    return fs::path(base) / ".packer.d" / "plugins";
  fs::path home = set("HOME");
  std::error_code ignored;
  if (fs::is_directory(home / ".packer.d", ignored)) return home / ".packer.d" / "plugins";
  std::string config = set("XDG_CONFIG_HOME");
  return (config.empty() ? home / ".config" : fs::path(config)) / "packer" / "plugins";
}

}  // namespace kiln
