#include "wire/aws_request.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/digest.h"
#include "base/text.h"

namespace kiln {

namespace {

const char* api_version(const std::string& service) {
  if (service == "sts") return "2011-06-15";
  if (service == "iam") return "2010-05-08";
  return "2016-11-15";
}

/// The domain of the partition a region belongs to.
std::string partition_domain(const std::string& region) {
  if (region.starts_with("cn-")) return "amazonaws.com.cn";
  if (region.starts_with("us-isob-")) return "sc2s.sgov.gov";
  if (region.starts_with("us-iso-")) return "c2s.ic.gov";
  if (region.starts_with("eusc-")) return "amazonaws.eu";
  return "amazonaws.com";
}

std::string with_scheme(const std::string& url) {
  std::string whole = url.find("://") == std::string::npos ? "https://" + url : url;
  while (whole.ends_with('/')) whole.pop_back();
  return whole;
}

/// "portal.sso" -> "PORTAL_SSO", as in AWS_ENDPOINT_URL_SSM.
std::string endpoint_variable(const std::string& service) {
  std::string name = service == "secretsmanager" ? "SECRETS_MANAGER" : upper(service);
  return "AWS_ENDPOINT_URL_" + replace_all(replace_all(name, ".", "_"), "-", "_");
}

std::string iam_region(const std::string& region) {
  if (region.starts_with("cn-")) return "cn-north-1";
  if (region.starts_with("us-gov-")) return "us-gov-west-1";
  return region.starts_with("us-iso") ? region : "us-east-1";
}

std::string aws_time(std::time_t now) {
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts));
}

/// As forms are written, by AWS's own clients too: a blank is a plus.
std::string form_encode(const std::string& text) { return replace_all(aws_uri_encode(text), "%20", "+"); }

struct UrlParts {
  std::string base;  ///< "http://127.0.0.1:5000"
  std::string host;  ///< with the port
  std::string path;  ///< "/prefix", or empty
};

UrlParts url_parts(const std::string& url) {
  size_t begin = url.find("://") + 3;
  size_t slash = url.find('/', begin);
  UrlParts parts{url.substr(0, slash), {}, slash == std::string::npos ? "" : url.substr(slash)};
  parts.host = parts.base.substr(begin);
  // A client leaves the scheme's own port out of the Host header.
  const char* own_port = url.starts_with("https:") ? ":443" : ":80";
  if (parts.host.ends_with(own_port)) parts.host.resize(parts.host.size() - std::string_view(own_port).size());
  return parts;
}

/// The words of an error: EC2's, then those of STS and IAM and S3, then the JSON services'.
struct Refusal {
  std::string code;
  std::string message;
  std::string request_id;
};

Refusal read_xml_refusal(const AwsElement& root) {
  Refusal refusal;
  const AwsElement* error = root.find("Errors/Error");
  if (error == nullptr) error = root.name == "Error" ? &root : root.find("Error");
  if (error != nullptr) {
    refusal.code = error->text_at("Code");
    refusal.message = error->text_at("Message");
  }
  for (const char* name : {"RequestID", "RequestId", "requestId"}) {
    if (refusal.request_id.empty()) refusal.request_id = root.text_at(name);
  }
  return refusal;
}

std::string json_text(const nlohmann::json& object, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    auto found = object.find(name);
    if (found != object.end() && found->is_string()) return found->get<std::string>();
  }
  return "";
}

/// With its port, in lower case; "" when it is no URL.
std::string host_of(const std::string& url) {
  size_t begin = url.find("://");
  return begin == std::string::npos ? "" : lower(url.substr(begin + 3, url.find('/', begin + 3) - begin - 3));
}

Refusal read_json_refusal(const nlohmann::json& body) {
  Refusal refusal;
  refusal.code = json_text(body, {"__type", "code", "Code"});
  if (size_t hash = refusal.code.rfind('#'); hash != std::string::npos) refusal.code.erase(0, hash + 1);
  refusal.message = json_text(body, {"message", "Message"});
  return refusal;
}

}  // namespace

std::string aws_signing_region(const std::string& service, const std::string& region) {
  return service == "iam" ? iam_region(region) : region;
}

std::string aws_endpoint_override(const std::string& service, const AwsEndpoints& endpoints) {
  auto env = [&](const std::string& name) { return endpoints.env ? endpoints.env(name).value_or("") : ""; };
  std::string own = env(endpoint_variable(service));
  if (service != "ec2" && !own.empty()) return with_scheme(own);
  bool has_service = service == "ec2" || !is_aws_url(with_scheme(endpoints.custom));
  if (!endpoints.custom.empty() && has_service) return with_scheme(endpoints.custom);
  if (!own.empty()) return with_scheme(own);
  if (std::string all = env("AWS_ENDPOINT_URL"); !all.empty()) return with_scheme(all);
  return "";
}

std::string aws_endpoint_url(const std::string& service, const std::string& region, const AwsEndpoints& endpoints) {
  if (std::string other = aws_endpoint_override(service, endpoints); !other.empty()) return other;
  std::string domain = partition_domain(region);
  if (service == "iam") {
    if (region.starts_with("cn-")) return "https://iam.cn-north-1." + domain;
    if (region.starts_with("us-gov-")) return "https://iam.us-gov." + domain;
    if (!region.starts_with("us-iso")) return "https://iam." + domain;
  }
  return fmt::format("https://{}.{}.{}", service, region, domain);
}

bool is_aws_url(const std::string& url) {
  std::string host = host_of(url);
  host = host.substr(0, host.find(':'));
  return host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
}

bool is_loopback_url(const std::string& url) {
  std::string host = host_of(url);
  if (host.starts_with("[::1]")) return true;
  host = host.substr(0, host.find(':'));
  in_addr address{};
  return host == "localhost" || (host.starts_with("127.") && ::inet_pton(AF_INET, host.c_str(), &address) == 1);
}

AwsCall aws_query_call(const std::string& service, const std::string& region, const std::string& action,
                       const AwsParameters& parameters) {
  AwsCall call{.service = service, .region = region};
  call.content_type = "application/x-www-form-urlencoded; charset=utf-8";
  call.body = "Action=" + action;
  bool versioned = false;
  auto add = [&](const std::string& name, const std::string& value) {
    call.body += "&" + form_encode(name) + "=" + form_encode(value);
  };
  for (const auto& [name, value] : parameters) {
    if (!versioned && name > "Version") add("Version", api_version(service)), versioned = true;
    add(name, value);
  }
  if (!versioned) add("Version", api_version(service));
  return call;
}

AwsCall aws_json_call(const std::string& service, const std::string& region, const std::string& action,
                      const nlohmann::json& input) {
  AwsCall call{.service = service, .region = region};
  call.content_type = "application/x-amz-json-1.1";
  call.target = (service == "ssm" ? "AmazonSSM." : service + ".") + action;
  call.body = input.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return call;
}

AwsError read_aws_error(const AwsHttpReply& reply) {
  Refusal refusal;
  try {
    refusal = read_xml_refusal(parse_aws_xml(reply.body));
  } catch (const Error&) {
    auto body = nlohmann::json::parse(reply.body, nullptr, false);
    if (body.is_object()) refusal = read_json_refusal(body);
  }
  auto type = reply.headers.find("x-amzn-errortype");
  if (refusal.code.empty() && type != reply.headers.end())
    refusal.code = type->second.substr(0, type->second.find(':'));
  if (refusal.code.empty()) {
    refusal.code = fmt::format("HTTP{}", reply.status);
    std::string_view body = trim(reply.body);
    if (!body.starts_with("<")) refusal.message = std::string(body.substr(0, std::min<size_t>(body.find('\n'), 200)));
  }
  for (const char* name : {"x-amzn-requestid", "x-amz-request-id"}) {
    auto found = reply.headers.find(name);
    if (refusal.request_id.empty() && found != reply.headers.end()) refusal.request_id = found->second;
  }
  AwsFailure failure = classify_aws_error(refusal.code, reply.status);
  return AwsError(failure, refusal.code,
                  fmt::format("{}: {}\n\tstatus code: {}, request id: {}", refusal.code, refusal.message, reply.status,
                              refusal.request_id),
                  reply.status);
}

AwsHttpReply AwsSender::send(const AwsCall& call, const std::optional<AwsKeys>& keys, const Deadline& deadline,
                             const Stop& stop) {
  UrlParts url = url_parts(aws_endpoint_url(call.service, call.region, endpoints_));
  AwsRequest to_sign;
  to_sign.method = call.method;
  to_sign.path = url.path + call.path;
  to_sign.query = call.query;
  to_sign.payload_sha256 = digest_hex("sha256", call.body);
  to_sign.normalize_path = call.service != "s3";
  to_sign.headers.emplace_back("host", url.host);
  if (!call.content_type.empty()) to_sign.headers.emplace_back("content-type", call.content_type);
  if (!call.target.empty()) to_sign.headers.emplace_back("x-amz-target", call.target);
  if (call.hash_payload) to_sign.headers.emplace_back("x-amz-content-sha256", to_sign.payload_sha256);
  for (const auto& header : call.headers) to_sign.headers.push_back(header);
  HttpHeaders all = to_sign.headers;
  if (keys) {
    std::string time = aws_time(std::time(nullptr));
    AwsScope scope{time.substr(0, 8), aws_signing_region(call.service, call.region), call.service};
    all = aws_signed_headers(to_sign, *keys, scope, time);
  }
  AwsHttpRequest request;
  request.method = call.method;
  request.url = url.base + to_sign.path + (call.query.empty() ? "" : "?" + call.query);
  request.headers.insert(all.begin(), all.end());
  request.body = call.body;
  request.insecure = insecure_;
  AwsHttpReply reply = http_.send(request, deadline, stop);
  if (reply.status < 200 || reply.status > 299) throw read_aws_error(reply);
  return reply;
}

}  // namespace kiln
