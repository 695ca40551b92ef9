#include "data_source/amazon_secretsmanager/amazon_secretsmanager.h"

#include "kit/aws_data_source.h"
#include "kit/aws_secret.h"

namespace kiln {

namespace {

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

void check_secret(const SecretConfig& config, Diagnostics& diagnostics) {
  if (config.name.empty()) diagnostics.error("a 'name' must be provided");
}

Value ask_for_secret(const SecretConfig& config, const AwsQuestion& question) {
  AwsSecretName name{config.name, config.version_id, config.version_stage};
  AwsSecret found = during("error getting secret value", [&] {
    return read_aws_secret(question.client, name, question.deadline, question.stop);
  });
  auto secret = [](std::string value) {
    Value out(std::move(value));
    out.secret = true;
    return out;
  };
  Value out = Value::empty_object();
  out.set("value",
          secret(found.text.empty() ? "" : value_of_aws_secret(found.text, config.key, config.name)));
  out.set("secret_string", secret(found.text));
  out.set("secret_binary", secret(found.binary));
  out.set("version_id", found.version_id);
  return out;
}

}  // namespace

DataSourceEntry amazon_secretsmanager_data_source() {
  DataSourceEntry entry =
      aws_data_source<SecretConfig>({"amazon-secretsmanager", "A secret of AWS Secrets Manager.",
                                     secret_options, check_secret, ask_for_secret});
  entry.outputs = {{.name = "value", .type = "string", .doc = "The value of key, or of the only one."},
                   {.name = "secret_string", .type = "string", .doc = "The whole secret as text."},
                   {.name = "secret_binary", .type = "string", .doc = "The whole of a binary secret, base64."},
                   {.name = "version_id", .type = "string", .doc = "Its version."}};
  return entry;
}

}  // namespace kiln
