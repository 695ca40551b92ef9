#include "data_source/amazon_parameterstore/amazon_parameterstore.h"

#include <fmt/format.h>

#include "kit/aws_access.h"

namespace kiln {

namespace {

constexpr auto parameter_answer_limit = std::chrono::minutes(5);

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

class ParameterDataSource : public DataSource {
 public:
  Value read(const DataSourceInput& input) override {
    ParameterConfig config;
    DecodeContext context{input.scope, input.diagnostics, "data amazon-parameterstore"};
    parameter_options().decode(input.config, config, context);
    check_aws_access(config.access, input.diagnostics);
    if (config.name.empty()) input.diagnostics.error("a 'name' must be provided");
    if (input.only_check || input.diagnostics.has_errors()) return {};
    Deadline deadline = Deadline::in(parameter_answer_limit);
    auto client = open_aws_client(config.access, nullptr, deadline, input.stop);
    nlohmann::json answer = during("Error getting parameter value of " + config.name, [&] {
      return client->json("ssm", "GetParameter", {{"Name", config.name}, {"WithDecryption", config.with_decryption}},
                          deadline, input.stop);
    });
    return value_of(answer.value("Parameter", nlohmann::json::object()));
  }

 private:
  static Value value_of(const nlohmann::json& parameter) {
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
};

}  // namespace

DataSourceEntry amazon_parameterstore_data_source() {
  DataSourceEntry entry;
  entry.type = "amazon-parameterstore";
  entry.summary = "A parameter of AWS Systems Manager's Parameter Store.";
  entry.options = parameter_options().docs();
  entry.make = [] { return std::make_unique<ParameterDataSource>(); };
  entry.outputs = {{.name = "value", .type = "string", .doc = "Its value; a SecureString's is a secret."},
                   {.name = "version", .type = "string", .doc = "Its version."},
                   {.name = "arn", .type = "string", .doc = "Its ARN."}};
  return entry;
}

}  // namespace kiln
