#include "data_source/amazon_secretsmanager/amazon_secretsmanager.h"

#include <fmt/format.h>

#include "base/text.h"
#include "kit/aws_access.h"

namespace kiln {

namespace {

constexpr auto secret_answer_limit = std::chrono::minutes(5);

struct SecretConfig {
  AwsAccessConfig access;
  std::string name;
  std::string key;
  std::string version_id;
  std::string version_stage;
};

const OptionTable<SecretConfig>& secret_options() {
  static const OptionTable<SecretConfig> table = [] {
    OptionTable<SecretConfig> made;
    made.include(&SecretConfig::access, aws_access_options());
    made.add(&SecretConfig::name, {.name = "name", .doc = "The secret's name or ARN. Required."});
    made.add(&SecretConfig::key, {.name = "key", .doc = "Which key's value, of a secret with several."});
    made.add(&SecretConfig::version_id, {.name = "version_id", .doc = "One version."});
    made.add(&SecretConfig::version_stage,
             {.name = "version_stage", .default_text = "AWSCURRENT", .doc = "The version of a stage."});
    return made;
  }();
  return table;
}

std::string json_string(const nlohmann::json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The value of `key` in the secret's JSON; without a key that of its only one; what is no JSON is the value itself.
std::string value_of_secret(const std::string& text, const std::string& key, const std::string& name) {
  auto secret = nlohmann::json::parse(text, nullptr, false);
  if (!secret.is_object()) return text;
  auto shown = [](const nlohmann::json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); };
  if (key.empty() && secret.size() == 1) return shown(secret.begin().value());
  if (key.empty())
    throw Error(ErrorKind::user,
                fmt::format("the secret {} has {} keys: key must say which is meant", go_quote(name), secret.size()));
  auto found = secret.find(key);
  if (found != secret.end()) return shown(*found);
  std::vector<std::string> keys;
  for (const auto& [other, value] : secret.items()) keys.push_back(other);
  auto nearest = nearest_name(key, keys);
  throw Error(ErrorKind::user, fmt::format("the secret {} has no key {}{}", go_quote(name), go_quote(key),
                                           nearest ? fmt::format(". Did you mean {}?", go_quote(*nearest)) : ""));
}

class SecretDataSource : public DataSource {
 public:
  Value read(const DataSourceInput& input) override {
    SecretConfig config;
    DecodeContext context{input.scope, input.diagnostics, "data amazon-secretsmanager"};
    secret_options().decode(input.config, config, context);
    check_aws_access(config.access, input.diagnostics);
    if (config.name.empty()) input.diagnostics.error("a 'name' must be provided");
    if (input.only_check || input.diagnostics.has_errors()) return {};
    return ask(config, input);
  }

 private:
  static Value ask(const SecretConfig& config, const DataSourceInput& input) {
    Deadline deadline = Deadline::in(secret_answer_limit);
    auto client = open_aws_client(config.access, nullptr, deadline, input.stop);
    nlohmann::json question{{"SecretId", config.name}};
    if (!config.version_id.empty()) question["VersionId"] = config.version_id;
    if (!config.version_stage.empty()) question["VersionStage"] = config.version_stage;
    if (config.version_id.empty() && config.version_stage.empty()) question["VersionStage"] = "AWSCURRENT";
    nlohmann::json answer = during("error getting secret value", [&] {
      return client->json("secretsmanager", "GetSecretValue", question, deadline, input.stop);
    });
    std::string text = json_string(answer, "SecretString");
    auto secret = [](std::string value) {
      Value out(std::move(value));
      out.secret = true;
      return out;
    };
    Value out = Value::empty_object();
    out.set("value", secret(text.empty() ? "" : value_of_secret(text, config.key, config.name)));
    out.set("secret_string", secret(text));
    out.set("secret_binary", secret(json_string(answer, "SecretBinary")));
    out.set("version_id", json_string(answer, "VersionId"));
    return out;
  }
};

}  // namespace

DataSourceEntry amazon_secretsmanager_data_source() {
  DataSourceEntry entry;
  entry.type = "amazon-secretsmanager";
  entry.summary = "A secret of AWS Secrets Manager.";
  entry.options = secret_options().docs();
  entry.make = [] { return std::make_unique<SecretDataSource>(); };
  entry.outputs = {{.name = "value", .type = "string", .doc = "The value of key, or of the only one."},
                   {.name = "secret_string", .type = "string", .doc = "The whole secret as text."},
                   {.name = "secret_binary", .type = "string", .doc = "The whole of a binary secret, base64."},
                   {.name = "version_id", .type = "string", .doc = "Its version."}};
  return entry;
}

}  // namespace kiln
