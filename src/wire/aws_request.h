// One signed request to a service of AWS: where it goes, what it says, what came back. No retries: wire/aws_client.h.
#pragma once
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "wire/aws_element.h"
#include "wire/aws_http.h"
#include "wire/aws_signature.h"

namespace kiln {

/// Reads the environment: handed in, so that tests have their own.
using AwsEnvironment = std::function<std::optional<std::string>(const std::string&)>;

/// Where requests go.
struct AwsEndpoints {
  /// custom_endpoint_ec2: for every service and region, unless it is AWS' own (a VPC endpoint), which has EC2 alone;
  /// empty: AWS_ENDPOINT_URL[_SERVICE], or AWS.
  std::string custom;
  AwsEnvironment env;  ///< may be empty
};

/// Where a service is asked instead of at AWS; empty: at AWS. Pure.
std::string aws_endpoint_override(const std::string& service, const AwsEndpoints& endpoints);
/// The base URL of a service ("ec2", "sts", "iam", "ssm", "secretsmanager", "s3", "ebs", "portal.sso") in a region.
/// Pure.
std::string aws_endpoint_url(const std::string& service, const std::string& region, const AwsEndpoints& endpoints);
/// Whether a URL leads to this very machine: localhost, 127.x.x.x, [::1]. Pure.
bool is_loopback_url(const std::string& url);
/// Whether a URL is one of AWS' own: of one service and no other. Pure.
bool is_aws_url(const std::string& url);
/// The region a request to the service is signed for: IAM has one for the whole partition. Pure.
std::string aws_signing_region(const std::string& service, const std::string& region);

/// Parameters of an action, in the order they are sent.
using AwsParameters = std::map<std::string, std::string>;

/// One call.
struct AwsCall {
  std::string service;
  std::string region;
  std::string body;
  std::string content_type;
  std::string target;  ///< X-Amz-Target of the JSON services; empty: none
  std::string method = "POST";
  std::string path = "/";  ///< escaped
  std::string query;       ///< escaped and sorted
  std::map<std::string, std::string> headers = {};
  bool hash_payload = false;  ///< sends x-amz-content-sha256, as S3 wants it
};

/// The call of an action of a Query service: "Action=...&Version=...&..." (EC2, STS, IAM). Pure.
AwsCall aws_query_call(const std::string& service, const std::string& region, const std::string& action,
                       const AwsParameters& parameters);
/// The call of an action of a JSON 1.1 service ("ssm", "secretsmanager"). Pure.
AwsCall aws_json_call(const std::string& service, const std::string& region, const std::string& action,
                      const nlohmann::json& input);

/// Sends calls. Used by one thread.
class AwsSender {
 public:
  AwsSender(AwsEndpoints endpoints, bool insecure) : endpoints_(std::move(endpoints)), insecure_(insecure) {}
  /// The answer of a call that went well. Without keys it goes unsigned. Throws AwsError with the service's own code
  /// and words, Error{timeout}, Error{cancelled}.
  AwsHttpReply send(const AwsCall& call, const std::optional<AwsKeys>& keys, const Deadline& deadline,
                    const Stop& stop);
  AwsHttp& http() { return http_; }
  const AwsEndpoints& endpoints() const { return endpoints_; }
  bool insecure() const { return insecure_; }

 private:
  AwsEndpoints endpoints_;
  bool insecure_;
  AwsHttp http_;
};

/// What an answer with a bad status says. Pure.
AwsError read_aws_error(const AwsHttpReply& reply);

}  // namespace kiln
