#include "kit/cloud_seed.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/boot_command.h"

namespace kiln {

namespace {

/// Goes by the lines: nested members are indented.
bool has_top_level_key(const std::string& yaml, const std::string& key) {
  for (const auto& line : split(yaml, '\n')) {
    if (line.starts_with(key + ":")) return true;
  }
  return false;
}

/// `text` with a member more, unless it has it. JSON is a kind of YAML, so its closing brace must stay the last.
std::string with_member(std::string text, const std::string& key, const std::string& value) {
  std::string_view body = trim(text);
  if (body.starts_with('{')) {
    if (contains(body, "\"" + key + "\"")) return text;
    bool empty = trim(body.substr(1)).starts_with('}');
    return fmt::format("{{\"{}\": {}{}{}\n", key, value, empty ? "" : ", ", trim(body.substr(1)));
  }
  if (has_top_level_key(text, key)) return text;
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  return text + key + ": " + value + "\n";
}

std::string vendor_data(const CloudSeedMachine& machine, const std::string& key) {
  std::string out = "#cloud-config\nusers:\n  - default\n";
  if (machine.user.empty()) return "";
  if (machine.user == "root") out += "disable_root: false\n";
  return out + "  - name: " + go_quote(machine.user) + "\n    ssh_authorized_keys:\n      - " + go_quote(key) + "\n";
}

}  // namespace

const OptionTable<CloudSeedConfig>& cloud_seed_options() {
  static const OptionTable<CloudSeedConfig> table = [] {
    OptionTable<CloudSeedConfig> t;
    using C = CloudSeedConfig;
    t.add(&C::user_data,
          {.name = "user_data",
           .doc = "User data for cloud-init in the machine, as a cloud would hand it over. Kiln's own option."});
    t.add(&C::user_data_file, {.name = "user_data_file",
                               .doc = "A file with the user data; taken as it is. Kiln's own option.",
                               .reads = true});
    t.add(&C::meta_data,
          {.name = "meta_data",
           .doc = "Meta data for cloud-init, as YAML or JSON; instance-id and the build's public key are added "
                  "where it has none. Kiln's own option."});
    t.add(&C::network_config,
          {.name = "network_config",
           .doc = "Network configuration for cloud-init, as YAML (version 1 or 2). Kiln's own option."});
    return t;
  }();
  return table;
}

const char* strange_user_data(const std::string& text) {
  std::string_view body = text;
  if (body.starts_with("\x1f\x8b")) return nullptr;  // gzip
  body = body.substr(std::min(body.find_first_not_of(" \t\r\n"), body.size()));
  if (body.empty()) return nullptr;
  std::string start = lower(std::string(body.substr(0, 80)));
  for (auto known : {"#!", "#cloud-config", "#include", "#cloud-boothook", "#part-handler", "#upstart-job",
                     "## template:", "content-type:", "mime-version:", "from ", "received:", "#cloud-config-archive",
                     "#cloud-config-jsonp"}) {
    if (start.starts_with(known)) {
      return body.size() == text.size() ? nullptr : "it must start with its first line: there is white space before it";
    }
  }
  return "it starts with none of the lines that cloud-init goes by, like #cloud-config or #!/bin/sh";
}

void prepare_cloud_seed(CloudSeedConfig& seed, const PrepareInput& input) {
  const char* option = "user_data";
  if (!seed.user_data_file.empty()) {
    option = "user_data_file";
    if (!seed.user_data.empty()) {
      input.diagnostics.error("Only one of user_data or user_data_file can be specified.", "",
                              option_range(input.config, option));
      return;
    }
    if (seed.user_data_file.starts_with("<")) return;  // not known yet
    try {
      seed.user_data = read_file(seed.user_data_file);
    } catch (const Error& error) {
      input.diagnostics.error(fmt::format("user_data_file: {}", error.message()), "",
                              option_range(input.config, option));
      return;
    }
  }
  if (contains(seed.user_data, "<unknown>")) return;
  if (const char* why = strange_user_data(seed.user_data)) {
    input.diagnostics.warning(fmt::format("{}: cloud-init would pass it over: {}", option, why), "",
                              option_range(input.config, option));
  }
}

std::map<std::string, std::string> cloud_seed_files(const CloudSeedConfig& seed, const CloudSeedMachine& machine) {
  std::map<std::string, std::string> files;
  std::string key(trim(machine.public_key));
  std::string meta = with_member(seed.meta_data, "instance-id", go_quote(machine.instance_id));
  if (!key.empty()) {
    meta = with_member(meta, "public-keys", "[" + go_quote(key) + "]");
    std::string vendor = vendor_data(machine, key);
    if (!vendor.empty()) files["vendor-data"] = vendor;
  }
  files["meta-data"] = meta;
  files["user-data"] = seed.user_data;
  if (!seed.network_config.empty()) files["network-config"] = seed.network_config;
  return files;
}

}  // namespace kiln
