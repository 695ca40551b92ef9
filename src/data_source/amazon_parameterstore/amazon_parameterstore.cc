#include "data_source/amazon_parameterstore/amazon_parameterstore.h"

#include <fmt/format.h>

#include "kit/aws_data_source.h"

namespace kiln {

namespace {

struct ParameterConfig {
  AwsAccessConfig access;
  std::string name;
  bool with_decryption = false;
};

const OptionTable<ParameterConfig>& parameter_options() {
  static const OptionTable<ParameterConfig> table = [] {
    OptionTable<ParameterConfig> made;
    made.include(&ParameterConfig::access, aws_access_options());
    made.add(&ParameterConfig::name, {.name = "name", .doc = "The parameter's name. Required."});
    made.add(&ParameterConfig::with_decryption,
             {.name = "with_decryption", .default_text = "false", .doc = "Decrypt a SecureString."});
    return made;
  }();
  return table;
}

void check_parameter(const ParameterConfig& config, Diagnostics& diagnostics) {
  if (config.name.empty()) diagnostics.error("a 'name' must be provided");
}

Value ask_for_parameter(const ParameterConfig& config, const AwsQuestion& question) {
  nlohmann::json answer = during("Error getting parameter value of " + config.name, [&] {
    return question.client.json("ssm", "GetParameter",
                                {{"Name", config.name}, {"WithDecryption", config.with_decryption}},
                                question.deadline, question.stop);
  });
  nlohmann::json parameter = answer.value("Parameter", nlohmann::json::object());
  auto text = [&](const char* name) {
    auto found = parameter.find(name);
    return found != parameter.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  Value value(text("Value"));
  value.secret = text("Type") == "SecureString";
  Value out = Value::empty_object();
  out.set("value", std::move(value));
  auto version = parameter.find("Version");
  bool numbered = version != parameter.end() && version->is_number_integer();
  out.set("version", numbered ? fmt::format("{}", version->get<int64_t>()) : std::string());
  out.set("arn", text("ARN"));
  return out;
}

}  // namespace

DataSourceEntry amazon_parameterstore_data_source() {
  DataSourceEntry entry = aws_data_source<ParameterConfig>(
      {"amazon-parameterstore", "A parameter of AWS Systems Manager's Parameter Store.", parameter_options,
       check_parameter, ask_for_parameter});
  entry.outputs = {{.name = "value", .type = "string", .doc = "Its value; a SecureString's is a secret."},
                   {.name = "version", .type = "string", .doc = "Its version."},
                   {.name = "arn", .type = "string", .doc = "Its ARN."}};
  return entry;
}

}  // namespace kiln
