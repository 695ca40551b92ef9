// AWS's Signature Version 4: canonical request, string to sign, signature. Pure functions that both ends use: a client
// signs with them, the endpoint checks with them.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// What of a request is signed. Everything as it is on the wire.
struct AwsRequest {
  std::string method = "POST";
  std::string path = "/";        ///< without the query; percent-escapes are escaped once more when signing
  std::string query;             ///< what follows the question mark
  HttpHeaders headers;           ///< any case, any order
  std::string payload_sha256;    ///< hex, of the body; or "UNSIGNED-PAYLOAD"
  bool normalize_path = true;    ///< takes "//", "." and ".." out, as every service but S3 does
};

/// What a signature is good for: "20150830/us-east-1/ec2/aws4_request".
struct AwsScope {
  std::string date;  ///< YYYYMMDD
  std::string region;
  std::string service;
  std::string text() const { return date + "/" + region + "/" + service + "/aws4_request"; }
};

struct AwsKeys {
  std::string access_key;
  std::string secret_key;     ///< a secret
  std::string session_token;  ///< of temporary keys; empty: none
};

/// What an Authorization header says.
struct AwsAuthorization {
  std::string access_key;
  AwsScope scope;
  std::vector<std::string> signed_headers;  ///< lower case
  std::string signature;                    ///< lower-case hex
};

inline constexpr const char* aws_algorithm = "AWS4-HMAC-SHA256";

/// Percent-encodes all but RFC 3986's unreserved characters; with `slashes` a "/" stays.
std::string aws_uri_encode(std::string_view text, bool slashes = false);
/// Takes percent-escapes off; what is none stays as it is. A "+" stays a plus.
std::string aws_uri_decode(std::string_view text);

/// `signed_headers` in lower case, in the order in which they are named in the signature. One that the request does not
/// have counts as empty.
std::string aws_canonical_request(const AwsRequest& request, const std::vector<std::string>& signed_headers);
/// `time` is X-Amz-Date: "20150830T123600Z".
std::string aws_string_to_sign(std::string_view time, const AwsScope& scope, std::string_view canonical_request);
/// The key that is good for one scope: 32 bytes.
std::string aws_signing_key(std::string_view secret_key, const AwsScope& scope);
/// 64 hex digits.
std::string aws_signature(std::string_view signing_key, std::string_view string_to_sign);

/// Signs: the request's headers (Host must be one of them) and X-Amz-Date, with a token also X-Amz-Security-Token, all
/// signed, and Authorization. Headers that a proxy or a client library may add later are best added after signing.
HttpHeaders aws_signed_headers(const AwsRequest& request, const AwsKeys& keys, const AwsScope& scope,
                               const std::string& time);

/// Reads an Authorization header; nullopt when it is none of this kind or lacks a part.
std::optional<AwsAuthorization> parse_aws_authorization(std::string_view header);
/// Reads "AKID/20150830/us-east-1/ec2/aws4_request" into access_key and scope.
bool parse_aws_credential(std::string_view text, AwsAuthorization& out);

/// The SHA-256 of bytes as AWS' checksum headers have it: base64.
std::string aws_checksum_sha256(std::string_view bytes);

/// Whether two texts are equal, in a time that tells nothing of where they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace kiln
