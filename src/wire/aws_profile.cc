#include "wire/aws_profile.h"

#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

/// A section's name, without quotes: `profile "my one"` is what the tools write for names with blanks.
std::string section_name(std::string_view inside) {
  std::string name(trim(inside));
  for (const char* word : {"profile ", "sso-session "}) {
    if (!name.starts_with(word)) continue;
    std::string rest(trim(std::string_view(name).substr(std::string_view(word).size())));
    if (rest.size() >= 2 && (rest.front() == '"' || rest.front() == '\'') && rest.back() == rest.front()) {
      rest = rest.substr(1, rest.size() - 2);
    }
    return word + rest;
  }
  return name;
}

std::string file_or_nothing(const std::string& path) { return read_file_if_exists(expand_home(path)).value_or(""); }

std::string env_or(const AwsEnvironment& env, const char* name, const std::string& otherwise) {
  std::string value = env ? env(name).value_or("") : "";
  return value.empty() ? otherwise : value;
}

}  // namespace

const AwsProfile* AwsProfiles::find(const std::string& name) const {
  auto found = profiles.find(name);
  return found == profiles.end() ? nullptr : &found->second;
}

std::map<std::string, AwsProfile> parse_aws_ini(std::string_view text) {
  std::map<std::string, AwsProfile> sections;
  AwsProfile* section = nullptr;
  for (const auto& raw : split(text, '\n')) {
    bool indented = !raw.empty() && (raw[0] == ' ' || raw[0] == '\t');
    std::string_view line = trim(raw);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      size_t end = line.find(']');
      section = end == std::string_view::npos ? nullptr : &sections[section_name(line.substr(1, end - 1))];
      continue;
    }
    size_t equals = line.find('=');
    if (section == nullptr || indented || equals == std::string_view::npos) continue;
    std::string_view value = trim(line.substr(equals + 1));
    for (std::string_view mark : {" #", " ;", "\t#", "\t;"}) value = trim(value.substr(0, value.find(mark)));
    (*section)[lower(trim(line.substr(0, equals)))] = std::string(value);
  }
  return sections;
}

AwsProfiles merge_aws_profiles(std::string_view credentials_text, std::string_view config_text) {
  AwsProfiles merged;
  for (auto& [name, settings] : parse_aws_ini(config_text)) {
    if (name.starts_with("sso-session ")) {
      merged.sso_sessions[name.substr(12)] = settings;
    } else if (name.starts_with("profile ")) {
      merged.profiles[name.substr(8)] = settings;
    } else if (name == "default") {
      merged.profiles.emplace(name, settings);
    }
  }
  for (auto& [name, settings] : parse_aws_ini(credentials_text)) {
    AwsProfile& profile = merged.profiles[name];
    for (auto& [key, value] : settings) profile[key] = value;
  }
  return merged;
}

std::string aws_home(const AwsEnvironment& env) { return env_or(env, "HOME", "~") + "/.aws"; }

AwsProfiles read_aws_profiles(const std::string& credentials_file, const AwsEnvironment& env) {
  std::string credentials = credentials_file;
  if (credentials.empty()) credentials = env_or(env, "AWS_SHARED_CREDENTIALS_FILE", aws_home(env) + "/credentials");
  return merge_aws_profiles(file_or_nothing(credentials),
                            file_or_nothing(env_or(env, "AWS_CONFIG_FILE", aws_home(env) + "/config")));
}

}  // namespace kiln
