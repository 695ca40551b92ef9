#include "wire/aws_metadata.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

// The service answers at once or is not there: off EC2 nobody shall wait for it.
constexpr auto metadata_connect_limit = Millis(1000);
constexpr auto metadata_answer_limit = std::chrono::seconds(5);

std::string env_of(const AwsSender& sender, const char* name) {
  const auto& env = sender.endpoints().env;
  return env ? env(name).value_or("") : "";
}

/// The loopback addresses and the addresses of ECS's and EKS's agents: over plain HTTP the token goes nowhere else.
bool may_have_token(const std::string& url) {
  if (url.starts_with("https://")) return true;
  for (const char* host : {"http://127.", "http://localhost", "http://[::1]", "http://169.254.170.2",
                           "http://169.254.170.23", "http://[fd00:ec2::23]"}) {
    if (url.starts_with(host)) return true;
  }
  return false;
}

/// A text of an object; "" when there is none.
std::string text_in(const nlohmann::json& object, const char* name) {
  if (!object.is_object()) return "";
  auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

class MetadataService {
 public:
  MetadataService(AwsSender& sender, const Deadline& deadline, const Stop& stop)
      : sender_(sender), deadline_(deadline.at_most(metadata_answer_limit)), stop_(stop) {
    base_ = env_of(sender, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (base_.empty()) base_ = "http://169.254.169.254";
    while (base_.ends_with('/')) base_.pop_back();
    ask_token();
  }

  /// nullopt when the answer is not 200.
  std::optional<std::string> get(const std::string& path) {
    AwsHttpReply reply = send("GET", "/latest/meta-data/" + path,
                              token_.empty() ? Headers{} : Headers{{"X-aws-ec2-metadata-token", token_}});
    if (reply.status != 200) return std::nullopt;
    return reply.body;
  }

 private:
  using Headers = std::map<std::string, std::string>;

  void ask_token() {
    AwsHttpReply reply = send("PUT", "/latest/api/token", {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}});
    if (reply.status == 200) token_ = reply.body;
  }

  AwsHttpReply send(const std::string& method, const std::string& path, Headers headers) {
    AwsHttpRequest request;
    request.method = method;
    request.url = base_ + path;
    request.headers = std::move(headers);
    request.connect_limit = metadata_connect_limit;
    return sender_.http().send(request, deadline_, stop_);
  }

  AwsSender& sender_;
  Deadline deadline_;
  const Stop& stop_;
  std::string base_;
  std::string token_;
};

}  // namespace

AwsCredentials read_metadata_credentials(const std::string& json, const std::string& source) {
  auto body = nlohmann::json::parse(json, nullptr, false);
  auto at = [&](const char* name) { return text_in(body, name); };
  std::string token = at("Token").empty() ? at("SessionToken") : at("Token");
  AwsCredentials credentials{
      {at("AccessKeyId"), at("SecretAccessKey"), token}, parse_aws_time(at("Expiration")), source};
  if (credentials.keys.access_key.empty() || credentials.keys.secret_key.empty()) {
    throw Error(ErrorKind::remote, source + " gives no AccessKeyId and SecretAccessKey");
  }
  return credentials;
}

std::optional<AwsCredentials> ask_container(AwsSender& sender, const Deadline& deadline, const Stop& stop) {
  AwsHttpRequest request;
  request.method = "GET";
  request.connect_limit = metadata_connect_limit;
  std::string relative = env_of(sender, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  request.url =
      relative.empty() ? env_of(sender, "AWS_CONTAINER_CREDENTIALS_FULL_URI") : "http://169.254.170.2" + relative;
  if (request.url.empty()) return std::nullopt;
  std::string token = env_of(sender, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (std::string file = env_of(sender, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty()) {
    token = std::string(trim(read_file(file)));
  }
  if (!may_have_token(request.url)) {
    throw Error(ErrorKind::user,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor this machine: " + request.url);
  }
  if (!token.empty()) request.headers["Authorization"] = token;
  AwsHttpReply reply = sender.http().send(request, deadline.at_most(std::chrono::seconds(10)), stop);
  if (reply.status != 200) throw read_aws_error(reply);
  return read_metadata_credentials(reply.body, "the container's agent");
}

std::optional<AwsCredentials> ask_instance_metadata(AwsSender& sender, const Deadline& deadline, const Stop& stop,
                                                    std::string& why) {
  try {
    MetadataService service(sender, deadline, stop);
    auto roles = service.get("iam/security-credentials/");
    std::string role(trim(roles ? std::string_view(*roles).substr(0, roles->find('\n')) : std::string_view()));
    if (role.empty()) {
      why = "this instance has no role";
      return std::nullopt;
    }
    auto answer = service.get("iam/security-credentials/" + role);
    return read_metadata_credentials(answer.value_or(""), "the instance's role " + role);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled || deadline.passed()) throw;
    why = "it does not answer: this is no EC2 instance";
    return std::nullopt;
  }
}

std::optional<std::string> ask_instance_metadata_text(AwsSender& sender, const std::string& path,
                                                      const Deadline& deadline, const Stop& stop) {
  try {
    return MetadataService(sender, deadline, stop).get(path);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled || deadline.passed()) throw;
    return std::nullopt;
  }
}

AwsCredentials ask_sso(AwsSender& sender, const AwsSsoRole& role, const Deadline& deadline, const Stop& stop) {
  AwsCall call;
  call.service = "portal.sso";
  call.region = role.region;
  call.method = "GET";
  call.path = "/federation/credentials";
  call.query = "account_id=" + aws_uri_encode(role.account_id) + "&role_name=" + aws_uri_encode(role.role_name);
  call.headers["x-amz-sso_bearer_token"] = role.access_token;
  AwsHttpReply reply = sender.send(call, std::nullopt, deadline, stop);
  auto body = nlohmann::json::parse(reply.body, nullptr, false);
  if (!body.is_object() || !body.contains("roleCredentials") || !body["roleCredentials"].is_object()) {
    throw Error(ErrorKind::remote, "SSO answers without roleCredentials");
  }
  const auto& keys = body["roleCredentials"];
  AwsCredentials credentials;
  credentials.source = "SSO role " + role.role_name;
  credentials.keys = {text_in(keys, "accessKeyId"), text_in(keys, "secretAccessKey"), text_in(keys, "sessionToken")};
  if (keys.contains("expiration") && keys["expiration"].is_number()) {
    credentials.expires = std::chrono::system_clock::time_point(Millis(keys["expiration"].get<int64_t>()));
  }
  return credentials;
}

AwsCredentials ask_vault(AwsSender& sender, const AwsVaultRole& role, const Deadline& deadline, const Stop& stop) {
  AwsHttpRequest request;
  request.method = "GET";
  std::string base = env_of(sender, "VAULT_ADDR");
  if (base.empty()) base = "https://127.0.0.1:8200";
  request.url = base + "/v1/" + role.engine + "/creds/" + aws_uri_encode(role.name);
  request.headers["X-Vault-Request"] = "true";
  if (!role.role_arn.empty()) {  // as Packer asks: of STS, and only then for a time
    request.method = "PUT";
    request.url = base + "/v1/" + role.engine + "/sts/" + aws_uri_encode(role.name);
    nlohmann::json wanted = {{"role_arn", role.role_arn}};
    if (!role.ttl.empty()) wanted["ttl"] = role.ttl;
    request.body = wanted.dump();
    request.headers["Content-Type"] = "application/json";
  }
  std::string token = env_of(sender, "VAULT_TOKEN");
  if (token.empty()) {
    token = std::string(trim(read_file_if_exists(expand_home(env_of(sender, "HOME") + "/.vault-token")).value_or("")));
  }
  if (!token.empty()) request.headers["X-Vault-Token"] = token;
  if (std::string space = env_of(sender, "VAULT_NAMESPACE"); !space.empty())
    request.headers["X-Vault-Namespace"] = space;
  return during("Error reading vault secret", [&] {
    AwsHttpReply reply = sender.http().send(request, deadline.at_most(std::chrono::seconds(60)), stop);
    auto body = nlohmann::json::parse(reply.body, nullptr, false);
    if (reply.status != 200 || !body.is_object() || !body.contains("data")) {
      std::string why;
      for (const auto& error : body.is_object() ? body.value("errors", nlohmann::json::array()) : nlohmann::json())
        why += (why.empty() ? ": " : "; ") + (error.is_string() ? error.get<std::string>() : error.dump());
      throw Error(reply.status >= 400 && reply.status < 500 ? ErrorKind::user : ErrorKind::remote,
                  fmt::format("{} answers with status {}{}", request.url, reply.status, why));
    }
    const auto& data = body["data"];
    AwsCredentials credentials{
        {text_in(data, "access_key"), text_in(data, "secret_key"), text_in(data, "security_token")}, {}, "Vault"};
    if (credentials.keys.access_key.empty()) throw Error(ErrorKind::remote, request.url + " gives no access_key");
    auto lease = body.find("lease_duration");
    if (lease != body.end() && lease->is_number_integer() && lease->get<int64_t>() > 0) {
      credentials.expires = std::chrono::system_clock::now() + std::chrono::seconds(lease->get<int64_t>());
    }
    return credentials;
  });
}

}  // namespace kiln
