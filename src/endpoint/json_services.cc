#include "endpoint/json_services.h"

#include <ctime>

#include "base/text.h"

namespace kiln::ec2 {

namespace {

using nlohmann::json;

std::string text_of(const json& request, const char* name) {
  auto found = request.find(name);
  if (found == request.end() || found->is_null()) return "";
  if (!found->is_string()) throw ApiError("ValidationException", fmt::format("{} must be a string", name));
  return found->get<std::string>();
}

std::string required_text(const json& request, const char* name) {
  std::string text = text_of(request, name);
  if (text.empty()) throw ApiError("ValidationException", fmt::format("{} must not be empty", name));
  return text;
}

std::string arn_of(const Context& context, const std::string& service, const std::string& rest) {
  return fmt::format("arn:aws:{}:{}:{}:{}", service, context.region, context.account, rest);
}

// ---- SSM's parameters

std::string parameter_id(const Context& context, const std::string& name) {
  return context.region + "/parameter/" + name;
}

json parameter_json(const Context& context, const Parameter& one) {
  std::string path = one.name.starts_with('/') ? one.name : "/" + one.name;
  return {{"Name", one.name},
          {"Type", one.type},
          {"Value", one.value},
          {"Version", one.version},
          {"LastModifiedDate", one.modified},
          {"ARN", arn_of(context, "ssm", "parameter" + path)},
          {"DataType", "text"}};
}

const Parameter* find_parameter(Context& context, const std::string& reference) {
  // "name:3" asks for a version; only the last is kept.
  return context.state.find<Parameter>(parameter_id(context, reference.substr(0, reference.find(':'))));
}

json get_parameter(Context& context, const json& request) {
  std::string name = required_text(request, "Name");
  const Parameter* found = find_parameter(context, name);
  if (!found) throw ApiError("ParameterNotFound", fmt::format("Parameter {} not found.", name));
  return {{"Parameter", parameter_json(context, *found)}};
}

json get_parameters(Context& context, const json& request) {
  json out = {{"Parameters", json::array()}, {"InvalidParameters", json::array()}};
  auto names = request.find("Names");
  if (names == request.end() || !names->is_array())
    throw ApiError("ValidationException", "Names must be a list");
  for (const auto& name : *names) {
    if (!name.is_string()) throw ApiError("ValidationException", "Names must be a list of strings");
    const Parameter* found = find_parameter(context, name.get<std::string>());
    if (found) {
      out["Parameters"].push_back(parameter_json(context, *found));
    } else {
      out["InvalidParameters"].push_back(name);
    }
  }
  return out;
}

json put_parameter(Context& context, const json& request) {
  Parameter one;
  one.name = required_text(request, "Name");
  one.value = required_text(request, "Value");
  one.type = text_of(request, "Type").empty() ? "String" : text_of(request, "Type");
  if (one.type != "String" && one.type != "StringList" && one.type != "SecureString") {
    throw ApiError("UnsupportedParameterType", "The parameter type is not supported.");
  }
  one.id = parameter_id(context, one.name);
  if (const Parameter* before = context.state.find<Parameter>(one.id)) {
    auto overwrite = request.find("Overwrite");
    if (overwrite == request.end() || *overwrite != true) {
      throw ApiError("ParameterAlreadyExists",
                     "The parameter already exists. To overwrite this value, set the overwrite option "
                     "in the request to true.");
    }
    one.version = before->version + 1;
  }
  one.modified = std::time(nullptr);
  context.state.put(one);
  return {{"Version", one.version}, {"Tier", "Standard"}};
}

json delete_parameter(Context& context, const json& request) {
  std::string name = required_text(request, "Name");
  if (!find_parameter(context, name))
    throw ApiError("ParameterNotFound", fmt::format("Parameter {} not found.", name));
  context.state.erase<Parameter>(parameter_id(context, name));
  return json::object();
}

// ---- Secrets Manager's secrets

std::string secret_id(const Context& context, const std::string& name) {
  return context.region + "/secret/" + name;
}

/// By name or ARN.
const Secret& need_secret(Context& context, const json& request) {
  std::string reference = required_text(request, "SecretId");
  for (const auto& [id, one] : context.state.secrets) {
    if (id.starts_with(context.region + "/") && (one.name == reference || one.arn == reference)) return one;
  }
  throw ApiError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
}

json secret_json(const Secret& one) {
  return {{"ARN", one.arn}, {"Name", one.name}, {"VersionId", one.version}};
}

void take_value(Secret& one, const json& request) {
  one.text = text_of(request, "SecretString");
  one.binary = text_of(request, "SecretBinary");
  one.version = random_uuid();
}

json create_secret(Context& context, const json& request) {
  Secret one;
  one.name = required_text(request, "Name");
  one.id = secret_id(context, one.name);
  if (context.state.find<Secret>(one.id)) {
    throw ApiError("ResourceExistsException",
                   fmt::format("The operation failed because the secret {} already exists.", one.name));
  }
  one.arn = arn_of(context, "secretsmanager", "secret:" + one.name + "-" + hex_encode(random_bytes(3)));
  one.created = std::time(nullptr);
  take_value(one, request);
  return secret_json(context.state.put(one));
}

json put_secret_value(Context& context, const json& request) {
  Secret one = need_secret(context, request);
  take_value(one, request);
  return secret_json(context.state.put(one));
}

json get_secret_value(Context& context, const json& request) {
  const Secret& one = need_secret(context, request);
  json out = secret_json(one);
  out["CreatedDate"] = one.created;
  out["VersionStages"] = {"AWSCURRENT"};
  if (!one.text.empty()) out["SecretString"] = one.text;
  if (!one.binary.empty()) out["SecretBinary"] = one.binary;
  return out;
}

json delete_secret(Context& context, const json& request) {
  const Secret one = need_secret(context, request);
  context.state.erase<Secret>(one.id);
  return {{"ARN", one.arn}, {"Name", one.name}, {"DeletionDate", std::time(nullptr)}};
}

struct JsonAction {
  const char* target;
  json (*handle)(Context& context, const json& request);
};
constexpr JsonAction json_actions[] = {
    {"AmazonSSM.GetParameter", get_parameter},           {"AmazonSSM.GetParameters", get_parameters},
    {"AmazonSSM.PutParameter", put_parameter},           {"AmazonSSM.DeleteParameter", delete_parameter},
    {"secretsmanager.CreateSecret", create_secret},      {"secretsmanager.PutSecretValue", put_secret_value},
    {"secretsmanager.GetSecretValue", get_secret_value}, {"secretsmanager.DeleteSecret", delete_secret}};

}  // namespace

json answer_json(Context& context, const std::string& target, const json& request) {
  for (const auto& action : json_actions) {
    if (target == action.target) return action.handle(context, request);
  }
  throw ApiError("UnknownOperationException", "The local endpoint has no " + target + ".");
}

}  // namespace kiln::ec2
