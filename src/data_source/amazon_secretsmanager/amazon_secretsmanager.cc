#include "data_source/amazon_secretsmanager/amazon_secretsmanager.h"

#include "kit/aws_access.h"
#include "kit/aws_secret.h"

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
    AwsSecretName name{config.name, config.version_id, config.version_stage};
    AwsSecret found =
        during("error getting secret value", [&] { return read_aws_secret(*client, name, deadline, input.stop); });
    auto secret = [](std::string value) {
      Value out(std::move(value));
      out.secret = true;
      return out;
    };
    Value out = Value::empty_object();
    out.set("value", secret(found.text.empty() ? "" : value_of_aws_secret(found.text, config.key, config.name)));
    out.set("secret_string", secret(found.text));
    out.set("secret_binary", secret(found.binary));
    out.set("version_id", found.version_id);
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
