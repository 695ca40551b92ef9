#include "kit/secret_store.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/aws_secret.h"
#include "kit/http_fetch.h"
#include "wire/aws_signature.h"

namespace kiln {

namespace {

using Json = nlohmann::json;

constexpr int attempts = 3;  // as Vault's own client
constexpr auto pause_between = std::chrono::seconds(1);
constexpr size_t largest_answer = size_t{16} << 20;

struct Answer {
  long status = 0;
  std::string body;
};

std::string env_text(const char* name) { return get_env(name).value_or(""); }

/// As Go's strconv.ParseBool.
bool env_true(const char* name) {
  std::string value = env_text(name);
  return value == "1" || lower(value) == "t" || lower(value) == "true";
}

FetchTls tls_of(const std::string& prefix) {
  auto value = [&](const char* name) { return env_text((prefix + name).c_str()); };
  return {value("_CACERT"), value("_CAPATH"), value("_CLIENT_CERT"), value("_CLIENT_KEY"), false};
}

/// Asks again when the store is not ready (5xx) or not to be reached for the moment.
Answer ask(const FetchRequest& request, const Stop& stop) {
  for (int attempt = 1;; ++attempt) {
    Answer answer;
    FetchResult result = http_fetch(
        request, [&](bool) { answer.body.clear(); },
        [&](std::string_view bytes) {
          answer.body += bytes;
          if (answer.body.size() > largest_answer)
            throw Error(ErrorKind::remote, "the answer of " + request.url + " is too large");
        },
        stop);
    answer.status = result.status;
    bool again = result.retryable || answer.status >= 500;
    if (!again || attempt == attempts) {
      if (!result.ok()) throw Error(ErrorKind::remote, result.error);
      return answer;
    }
    sleep_for(pause_between, stop);
  }
}

/// The text of Vault's client for an answer that is none.
Error vault_refusal(const FetchRequest& request, const Answer& answer) {
  std::string text =
      fmt::format("Error making API request.\n\nURL: GET {}\nCode: {}. ", request.url, answer.status);
  Json body = Json::parse(answer.body, nullptr, false);
  if (body.is_object() && body.contains("errors") && body["errors"].is_array()) {
    text += "Errors:\n";
    for (const auto& error : body["errors"])
      text += "\n* " + (error.is_string() ? error.get<std::string>() : error.dump());
  } else {
    text += "Raw Message:\n\n" + answer.body;
  }
  bool ours = answer.status >= 400 && answer.status < 500;
  return Error(ours ? ErrorKind::user : ErrorKind::remote, "Error reading vault secret: " + text);
}

FetchRequest vault_request(const std::string& path) {
  std::string token = env_text("VAULT_TOKEN");
  if (token.empty())
    throw Error(ErrorKind::user, "Must set VAULT_TOKEN env var in order to use vault template function");
  std::string base = env_text("VAULT_ADDR");
  if (base.empty()) base = "https://127.0.0.1:8200";
  while (base.ends_with('/')) base.pop_back();
  std::string_view below = path;
  while (below.starts_with('/')) below.remove_prefix(1);
  FetchRequest request;
  request.url = base + "/v1/" + aws_uri_encode(below, true);
  request.headers = {{"X-Vault-Token", token}, {"X-Vault-Request", "true"}};
  if (std::string space = env_text("VAULT_NAMESPACE"); !space.empty())
    request.headers["X-Vault-Namespace"] = space;
  request.tls = tls_of("VAULT");
  request.tls.insecure = env_true("VAULT_SKIP_VERIFY");
  request.any_status = true;
  return request;
}

std::string shown(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string warnings_of(const Json& body) {
  std::string out;
  auto warnings = body.find("warnings");
  if (warnings == body.end() || !warnings->is_array()) return out;
  for (const auto& warning : *warnings) out += (out.empty() ? "" : "; ") + shown(warning);
  return out;
}

[[noreturn]] void throw_no_such_key(const std::string& path, const std::string& key, const Json& fields) {
  std::vector<std::string> keys;
  for (const auto& [other, value] : fields.items()) keys.push_back(other);
  auto nearest = nearest_name(key, keys);
  throw Error(
      ErrorKind::user,
      fmt::format("Vault path does not contain the requested key: {} has no {}{}", go_quote(path),
                  go_quote(key), nearest ? fmt::format(". Did you mean {}?", go_quote(*nearest)) : ""));
}

FetchRequest consul_request(const std::string& key) {
  FetchRequest request;
  std::string address = env_text("CONSUL_HTTP_ADDR");
  if (address.empty()) address = "127.0.0.1:8500";
  if (address.starts_with("unix://")) {
    request.unix_socket = address.substr(std::string_view("unix://").size());
    address = "http://localhost";
  } else if (!address.starts_with("http://") && !address.starts_with("https://")) {
    address = (env_true("CONSUL_HTTP_SSL") ? "https://" : "http://") + address;
  }
  while (address.ends_with('/')) address.pop_back();
  std::string_view below = key;
  while (below.starts_with('/')) below.remove_prefix(1);
  request.url = address + "/v1/kv/" + aws_uri_encode(below, true) + "?raw";
  for (auto [name, parameter] :
       {std::pair{"CONSUL_NAMESPACE", "&ns="}, {"CONSUL_PARTITION", "&partition="}}) {
    if (std::string value = env_text(name); !value.empty()) request.url += parameter + aws_uri_encode(value);
  }
  std::string token = env_text("CONSUL_HTTP_TOKEN");
  if (std::string file = env_text("CONSUL_HTTP_TOKEN_FILE"); token.empty() && !file.empty())
    token = std::string(trim(read_file(file)));
  if (!token.empty()) request.headers["X-Consul-Token"] = token;
  if (std::string login = env_text("CONSUL_HTTP_AUTH"); !login.empty())
    request.headers["Authorization"] = "Basic " + base64_encode(login);
  request.tls = tls_of("CONSUL");
  request.tls.insecure = !env_text("CONSUL_HTTP_SSL_VERIFY").empty() && !env_true("CONSUL_HTTP_SSL_VERIFY");
  request.any_status = true;
  return request;
}

const std::string& argument(const std::string& function, const std::vector<std::string>& arguments,
                            size_t number) {
  if (number >= arguments.size())
    throw Error(ErrorKind::user, fmt::format("{} needs {} arguments", function, number + 1));
  return arguments[number];
}

}  // namespace

std::string read_vault_secret(const std::string& path, const std::string& key, const Stop& stop) {
  FetchRequest request = vault_request(path);
  Answer answer = during("Error reading vault secret", [&] { return ask(request, stop); });
  Json body = Json::parse(answer.body, nullptr, false);
  bool secret = body.is_object() && body.contains("data") && body["data"].is_object();
  // Of a deleted secret Vault says 404 and its metadata.
  if (answer.status == 404 && !secret)
    throw Error(ErrorKind::user, "Vault Secret does not exist at the given path: " + go_quote(path));
  if (answer.status != 200 && answer.status != 404) throw vault_refusal(request, answer);
  if (!secret)
    throw Error(ErrorKind::remote, "Error reading vault secret: " + request.url + " gives no data");
  const Json& first = body["data"];  // version 1 has the fields here, version 2 a level below
  auto second = first.find("data");
  if (second == first.end()) {
    if (first.contains(key)) return shown(first[key]);
    throw Error(
        ErrorKind::user,
        fmt::format(
            "Vault data was empty at the given path: {} has no {}. Original warnings from Vault call: {}",
            go_quote(path), go_quote(key), warnings_of(body)));
  }
  const Json& fields = second->is_object() ? *second : Json::object();
  if (!fields.contains(key)) throw_no_such_key(path, key, fields);
  return shown(fields[key]);
}

std::string read_consul_key(const std::string& key, const Stop& stop) {
  FetchRequest request = consul_request(key);
  Answer answer = during("error reading consul key", [&] { return ask(request, stop); });
  if (answer.status == 404) throw Error(ErrorKind::user, "key does not exist at the given path: " + key);
  if (answer.status != 200)
    throw Error(answer.status < 500 ? ErrorKind::user : ErrorKind::remote,
                fmt::format("error reading consul key: Unexpected response code: {} ({})", answer.status,
                            trim(answer.body)));
  if (answer.body.empty()) throw Error(ErrorKind::user, "value is empty at path " + key);
  return answer.body;
}

std::string secret_function(const std::string& function, const std::vector<std::string>& arguments) {
  if (function.starts_with("aws_secretsmanager")) return aws_secret_function(function, arguments);
  Stop stop;
  if (function == "vault")
    return read_vault_secret(argument(function, arguments, 0), argument(function, arguments, 1), stop);
  if (function == "consul_key") return read_consul_key(argument(function, arguments, 0), stop);
  throw Error(ErrorKind::internal, "no secret function " + function);
}

}  // namespace kiln
