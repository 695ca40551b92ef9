#include "endpoint/metadata.h"

#include <fmt/format.h>

#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "endpoint/api_error.h"

namespace kiln::ec2 {

namespace {

constexpr int64_t longest_token_life = 21600;
/// The versions that cloud-init and others ask for, newest last.
constexpr const char* metadata_versions[] = {"1.0", "2009-04-04", "2016-09-02", "2021-03-23", "latest"};

HttpReply plain(int status, std::string body) { return {status, "text/plain", std::move(body), {}}; }

HttpReply not_found() { return plain(404, "404 - Not Found\n"); }

/// What is signed says itself until when it is good: "EXPIRES.SIGNATURE".
std::string sign_token(const Metadata& metadata, const std::string& expires) {
  return expires + "." + aws_signature(metadata.token_secret, "metadata token " + expires);
}

bool is_good_token(const Metadata& metadata, const std::string& token, int64_t now) {
  size_t dot = token.find('.');
  if (dot == std::string::npos) return false;
  int64_t expires = 0;
  auto [end, error] = std::from_chars(token.data(), token.data() + dot, expires);
  if (error != std::errc() || end != token.data() + dot || expires < now) return false;
  return equal_in_constant_time(token, sign_token(metadata, token.substr(0, dot)));
}

HttpReply answer_token(const Metadata& metadata, const HttpCall& call, int64_t now) {
  if (call.method != "PUT") return plain(405, "405 - Method Not Allowed\n");
  if (!call.header("x-forwarded-for").empty()) return plain(403, "403 - Forbidden\n");
  std::string text = call.header("x-aws-ec2-metadata-token-ttl-seconds");
  int64_t life = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), life);
  if (error != std::errc() || end != text.data() + text.size() || life < 1 || life > longest_token_life) {
    return plain(400, "400 - Bad Request\n");
  }
  HttpReply reply = plain(200, sign_token(metadata, std::to_string(now + life)));
  reply.headers.emplace_back("x-aws-ec2-metadata-token-ttl-seconds", text);
  return reply;
}

/// A leaf's text, or the names below a directory: those that have something below them end in a slash.
HttpReply answer_tree(const std::map<std::string, std::string>& tree, std::string path) {
  while (path.ends_with('/')) path.pop_back();
  if (auto leaf = tree.find(path); leaf != tree.end() && !path.empty()) return plain(200, leaf->second);
  std::string prefix = path.empty() ? "" : path + "/";
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (auto it = tree.lower_bound(prefix); it != tree.end() && it->first.starts_with(prefix); ++it) {
    std::string rest = it->first.substr(prefix.size());
    size_t slash = rest.find('/');
    std::string name = slash == std::string::npos ? rest : rest.substr(0, slash + 1);
    if (seen.insert(name).second) names.push_back(name);
  }
  return names.empty() ? not_found() : plain(200, join(names, "\n"));
}

/// The list of keys is no list of directories: "0=name".
HttpReply answer_keys(const std::map<std::string, std::string>& tree, const std::string& path) {
  auto name = tree.find("public-keys/0/name");
  if (name == tree.end()) return not_found();
  if (path == "public-keys" || path == "public-keys/") return plain(200, "0=" + name->second);
  if (path == "public-keys/0" || path == "public-keys/0/") return plain(200, "openssh-key");
  if (path == "public-keys/0/openssh-key") return plain(200, tree.at("public-keys/0/openssh-key"));
  return not_found();
}

HttpReply answer_path(const Metadata& metadata, const std::string& path) {
  if (path.empty())
    return plain(200, metadata.user_data.empty() ? "dynamic\nmeta-data" : "dynamic\nmeta-data\nuser-data");
  if (path == "user-data" || path == "user-data/") {
    if (metadata.user_data.empty()) return not_found();
    return {200, "application/octet-stream", metadata.user_data, {}};
  }
  if (path == "meta-data" || path == "dynamic")
    return answer_tree(path == "dynamic" ? metadata.dynamic : metadata.tree, "");
  if (path.starts_with("dynamic/")) return answer_tree(metadata.dynamic, path.substr(8));
  if (!path.starts_with("meta-data/")) return not_found();
  std::string below = path.substr(10);
  if (below.starts_with("public-keys")) return answer_keys(metadata.tree, below);
  return answer_tree(metadata.tree, below);
}

}  // namespace

HttpReply answer_metadata(const Metadata& metadata, const HttpCall& call, int64_t now) {
  if (!metadata.enabled) return plain(403, "403 - Forbidden\n");
  std::string path = aws_uri_decode(call.path).substr(1);
  while (path.starts_with('/')) path.erase(0, 1);
  if (path == "latest/api/token") return answer_token(metadata, call, now);
  if (call.method != "GET" && call.method != "HEAD") return plain(405, "405 - Method Not Allowed\n");
  std::string token = call.header("x-aws-ec2-metadata-token");
  if (token.empty() ? metadata.tokens_required : !is_good_token(metadata, token, now)) {
    return plain(401, "401 - Unauthorized\n");
  }
  if (path.empty()) return plain(200, fmt::format("{}", fmt::join(metadata_versions, "\n")));
  for (std::string version : metadata_versions) {
    if (path == version) return answer_path(metadata, "");
    if (path.starts_with(version + "/")) return answer_path(metadata, path.substr(version.size() + 1));
  }
  return not_found();
}

std::string metadata_to_json(const Metadata& metadata) {
  nlohmann::json out;
  out["meta-data"] = metadata.tree;
  out["dynamic"] = metadata.dynamic;
  out["user-data"] = base64_encode(metadata.user_data);
  out["enabled"] = metadata.enabled;
  out["tokens-required"] = metadata.tokens_required;
  out["token-secret"] = base64_encode(metadata.token_secret);
  return out.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Metadata metadata_from_json(std::string_view text) {
  try {
    auto json = nlohmann::json::parse(text);
    Metadata out;
    json.at("meta-data").get_to(out.tree);
    json.at("dynamic").get_to(out.dynamic);
    out.user_data = base64_decode(json.at("user-data").get<std::string>());
    out.enabled = json.at("enabled").get<bool>();
    out.tokens_required = json.at("tokens-required").get<bool>();
    out.token_secret = base64_decode(json.at("token-secret").get<std::string>());
    return out;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::environment,
                std::string("the instance's metadata cannot be read: ") + error.what());
  }
}

void serve_metadata(const fs::path& file, int in, int out, const Stop& stop) {
  auto handler = [&](const HttpCall& call, const Stop&) {
    HttpReply reply = answer_metadata(metadata_from_json(read_file(file)), call, std::time(nullptr));
    reply.headers.emplace_back("Server", "EC2ws");
    return reply;
  };
  serve_http(in, out, handler, stop);
}

}  // namespace kiln::ec2
