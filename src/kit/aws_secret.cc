#include "kit/aws_secret.h"

#include <fmt/format.h>

#include "base/text.h"
#include "kit/aws_access.h"

namespace kiln {

namespace {

constexpr auto secret_function_limit = std::chrono::minutes(2);

std::string json_string(const nlohmann::json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::string value_of_aws_secret(const std::string& text, const std::string& key, const std::string& name) {
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

AwsSecret read_aws_secret(AwsClient& client, const AwsSecretName& name, const Deadline& deadline, const Stop& stop) {
  nlohmann::json question{{"SecretId", name.name}};
  if (!name.version_id.empty()) question["VersionId"] = name.version_id;
  if (!name.version_stage.empty()) question["VersionStage"] = name.version_stage;
  if (name.version_id.empty() && name.version_stage.empty()) question["VersionStage"] = "AWSCURRENT";
  nlohmann::json answer = client.json("secretsmanager", "GetSecretValue", question, deadline, stop);
  return {json_string(answer, "SecretString"), json_string(answer, "SecretBinary"), json_string(answer, "VersionId")};
}

std::string aws_secret_function(const std::string& function, const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw Error(ErrorKind::user, function + " needs the name of a secret");
  Deadline deadline = Deadline::in(secret_function_limit);
  Stop stop;
  auto client = open_aws_client({}, nullptr, deadline, stop);
  AwsSecret secret = read_aws_secret(*client, {arguments[0], "", ""}, deadline, stop);
  if (function == "aws_secretsmanager_raw") return secret.text;
  return value_of_aws_secret(secret.text, arguments.size() > 1 ? arguments[1] : "", arguments[0]);
}

}  // namespace kiln
