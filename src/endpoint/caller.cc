#include "endpoint/caller.h"

#include <time.h>

#include <algorithm>
#include <charconv>

#include "base/digest.h"
#include "base/text.h"
#include "endpoint/api_error.h"
#include "endpoint/request_params.h"

namespace kiln::ec2 {

namespace {

constexpr int64_t skew_limit = 15 * 60;
constexpr const char* unsigned_payload = "UNSIGNED-PAYLOAD";
constexpr int64_t longest_expiry = 7 * 24 * 3600;

/// A signature and the request it is of.
struct SignedCall {
  AwsAuthorization authorization;
  AwsRequest request;
  std::string time;  ///< X-Amz-Date
  std::string token;
  int64_t good_for = skew_limit;  ///< seconds
};

[[noreturn]] void refuse_credentials() {
  throw ApiError("AuthFailure", "AWS was not able to validate the provided access credentials", 401);
}

SignedCall from_header(const HttpCall& call, const std::string& header) {
  SignedCall out;
  auto authorization = parse_aws_authorization(header);
  if (!authorization) {
    throw ApiError("IncompleteSignature",
                   "The Authorization header is not one of AWS4-HMAC-SHA256 with Credential, "
                   "SignedHeaders and Signature.");
  }
  out.authorization = std::move(*authorization);
  out.time = call.header("x-amz-date");
  out.token = call.header("x-amz-security-token");
  // Blocks of snapshots come with a checksum of their own.
  bool unsigned_body =
      out.authorization.scope.service == "ebs" && call.header("x-amz-content-sha256") == unsigned_payload;
  out.request = {call.method, call.path, call.query, call.headers,
                 unsigned_body ? unsigned_payload : digest_hex("sha256", call.body)};
  return out;
}

SignedCall from_query(const HttpCall& call) {
  SignedCall out;
  std::vector<std::string> kept;
  std::string algorithm;
  bool credential = false;
  for (const auto& pair : split(call.query, '&')) {
    size_t equals = std::min(pair.find('='), pair.size());
    std::string name = pair.substr(0, equals);
    std::string value = aws_uri_decode(std::string_view(pair).substr(std::min(equals + 1, pair.size())));
    if (name == "X-Amz-Signature") {
      out.authorization.signature = value;
      continue;
    }
    kept.push_back(pair);
    if (name == "X-Amz-Algorithm") algorithm = value;
    if (name == "X-Amz-Credential") credential = parse_aws_credential(value, out.authorization);
    if (name == "X-Amz-SignedHeaders") out.authorization.signed_headers = split(value, ';');
    if (name == "X-Amz-Date") out.time = value;
    if (name == "X-Amz-Security-Token") out.token = value;
    if (name == "X-Amz-Expires") {
      auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out.good_for);
      if (error != std::errc() || out.good_for < 1 || out.good_for > longest_expiry) {
        throw ApiError("InvalidParameterValue", "X-Amz-Expires is 1 to 604800 seconds.");
      }
    }
  }
  if (algorithm != aws_algorithm || !credential || out.authorization.signature.empty()) {
    throw ApiError("MissingAuthenticationToken", "The request is not signed.", 403);
  }
  out.request = {call.method, call.path, join(kept, "&"), call.headers, digest_hex("sha256", call.body)};
  return out;
}

void check_time(const SignedCall& signed_call, int64_t now) {
  auto time = parse_amz_date(signed_call.time);
  if (!time || !signed_call.time.starts_with(signed_call.authorization.scope.date)) {
    throw ApiError("IncompleteSignature",
                   "X-Amz-Date must be like 20150830T123600Z and of the credential's day.");
  }
  if (now - *time > signed_call.good_for || *time - now > skew_limit) {
    throw ApiError("RequestExpired", fmt::format("Request has expired: it was signed at {}, and it is {}.",
                                                 signed_call.time, format_amz_date(now)));
  }
}

void check_signed_headers(const SignedCall& signed_call) {
  const auto& names = signed_call.authorization.signed_headers;
  if (std::find(names.begin(), names.end(), "host") == names.end()) {
    throw ApiError("IncompleteSignature", "The header host must be signed.");
  }
}

}  // namespace

std::optional<int64_t> parse_amz_date(std::string_view text) {
  constexpr std::string_view shape = "ddddddddTddddddZ";
  if (text.size() != shape.size()) return std::nullopt;
  for (size_t i = 0; i < shape.size(); ++i) {
    bool digit = text[i] >= '0' && text[i] <= '9';
    if (shape[i] == 'd' ? !digit : text[i] != shape[i]) return std::nullopt;
  }
  auto number = [&](size_t at, size_t length) {
    int out = 0;
    for (char c : text.substr(at, length)) out = out * 10 + (c - '0');
    return out;
  };
  tm parts{};
  parts.tm_year = number(0, 4) - 1900;
  parts.tm_mon = number(4, 2) - 1;
  parts.tm_mday = number(6, 2);
  parts.tm_hour = number(9, 2);
  parts.tm_min = number(11, 2);
  parts.tm_sec = number(13, 2);
  if (parts.tm_year < 0) return std::nullopt;
  return ::timegm(&parts);
}

std::string format_amz_date(int64_t unix_time) {
  auto seconds = static_cast<time_t>(unix_time);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char out[32];
  size_t size = ::strftime(out, sizeof out, "%Y%m%dT%H%M%SZ", &parts);
  return {out, size};
}

Caller check_signature(const HttpCall& call, const FindKeys& find_keys, int64_t now) {
  std::string header = call.header("authorization");
  SignedCall signed_call = header.empty() ? from_query(call) : from_header(call, header);
  check_time(signed_call, now);
  check_signed_headers(signed_call);
  const auto& authorization = signed_call.authorization;
  auto keys = find_keys(authorization.access_key);
  if (!keys || !equal_in_constant_time(keys->session_token, signed_call.token)) refuse_credentials();
  std::string canonical = aws_canonical_request(signed_call.request, authorization.signed_headers);
  std::string good = aws_signature(aws_signing_key(keys->secret_key, authorization.scope),
                                   aws_string_to_sign(signed_call.time, authorization.scope, canonical));
  if (!equal_in_constant_time(good, authorization.signature)) {
    if (authorization.scope.service == "ec2") refuse_credentials();
    throw ApiError("SignatureDoesNotMatch",
                   "The request signature we calculated does not match the signature you provided.", 403);
  }
  return {authorization.access_key, authorization.scope.region, authorization.scope.service};
}

}  // namespace kiln::ec2
