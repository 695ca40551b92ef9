#include "endpoint/caller.h"

#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/text.h"
#include "endpoint/api_error.h"

namespace kiln::ec2 {
namespace {

constexpr int64_t now = 1'790'000'000;
const AwsKeys keys{"AKIDEXAMPLE", "secret/with+signs", ""};

std::optional<AwsKeys> find_keys(const std::string& id) {
  if (id == keys.access_key) return keys;
  if (id == "ASIATOKEN") return AwsKeys{"ASIATOKEN", "other", "the-token"};
  return std::nullopt;
}

/// A request as a client sends it.
HttpCall signed_call(const AwsKeys& with, int64_t at, const std::string& service = "ec2") {
  HttpCall call;
  call.method = "POST";
  call.path = "/";
  call.body = "Action=DescribeRegions&Version=2016-11-15";
  std::string time = format_amz_date(at);
  AwsRequest request{call.method,
                     call.path,
                     "",
                     {{"Host", "127.0.0.1:5000"}, {"Content-Type", "application/x-www-form-urlencoded"}},
                     digest_hex("sha256", call.body)};
  call.headers = aws_signed_headers(request, with, {time.substr(0, 8), "eu-west-1", service}, time);
  return call;
}

std::string refusal(const HttpCall& call, int64_t at = now) {
  try {
    check_signature(call, find_keys, at);
  } catch (const ApiError& error) {
    return error.code();
  }
  return "";
}

HttpCall with_header(HttpCall call, const std::string& name, const std::string& value) {
  for (auto& [key, text] : call.headers) {
    if (lower(key) == lower(name)) text = value;
  }
  return call;
}

TEST(Caller, AGoodSignatureSaysRegionAndService) {
  Caller caller = check_signature(signed_call(keys, now), find_keys, now);
  EXPECT_EQ(caller.access_key, "AKIDEXAMPLE");
  EXPECT_EQ(caller.region, "eu-west-1");
  EXPECT_EQ(caller.service, "ec2");
}

TEST(Caller, WhatIsTamperedWithIsRefused) {
  HttpCall call = signed_call(keys, now);
  call.body += "&DryRun=true";
  EXPECT_EQ(refusal(call), "AuthFailure");
  EXPECT_EQ(refusal(with_header(signed_call(keys, now), "host", "elsewhere")), "AuthFailure");
  HttpCall query = signed_call(keys, now);
  query.query = "Action=TerminateInstances";
  EXPECT_EQ(refusal(query), "AuthFailure");
  HttpCall sts = signed_call(keys, now, "sts");
  sts.body += "x";
  EXPECT_EQ(refusal(sts), "SignatureDoesNotMatch");
}

TEST(Caller, WrongKeysAreRefused) {
  EXPECT_EQ(refusal(signed_call({"AKIDEXAMPLE", "guessed", ""}, now)), "AuthFailure");
  EXPECT_EQ(refusal(signed_call({"AKIDNOBODY", "secret/with+signs", ""}, now)), "AuthFailure");
}

TEST(Caller, OldAndFutureRequestsAreRefused) {
  EXPECT_EQ(refusal(signed_call(keys, now - 14 * 60)), "");
  EXPECT_EQ(refusal(signed_call(keys, now - 16 * 60)), "RequestExpired");
  EXPECT_EQ(refusal(signed_call(keys, now + 16 * 60)), "RequestExpired");
  EXPECT_EQ(refusal(with_header(signed_call(keys, now), "x-amz-date", "yesterday")), "IncompleteSignature");
}

TEST(Caller, UnsignedRequestsAreRefused) {
  HttpCall call = signed_call(keys, now);
  call.headers = {{"Host", "127.0.0.1:5000"}};
  EXPECT_EQ(refusal(call), "MissingAuthenticationToken");
  EXPECT_EQ(refusal(with_header(signed_call(keys, now), "authorization", "Basic dXNlcjpwYXNz")),
            "IncompleteSignature");
}

TEST(Caller, TemporaryKeysNeedTheirToken) {
  AwsKeys temporary{"ASIATOKEN", "other", "the-token"};
  EXPECT_EQ(refusal(signed_call(temporary, now)), "");
  temporary.session_token = "another";
  EXPECT_EQ(refusal(signed_call(temporary, now)), "AuthFailure");
  temporary.session_token = "";
  EXPECT_EQ(refusal(signed_call(temporary, now)), "AuthFailure");
}

TEST(Caller, TheHostMustBeSigned) {
  HttpCall call;
  call.method = "POST";
  call.path = "/";
  std::string time = format_amz_date(now);
  AwsRequest request{"POST", "/", "", {}, digest_hex("sha256", "")};
  call.headers = aws_signed_headers(request, keys, {time.substr(0, 8), "eu-west-1", "ec2"}, time);
  EXPECT_EQ(refusal(call), "IncompleteSignature");
}

/// A presigned URL.
HttpCall presigned(int64_t at, const std::string& expires) {
  HttpCall call;
  call.method = "GET";
  call.path = "/";
  call.headers = {{"Host", "127.0.0.1:5000"}};
  std::string time = format_amz_date(at);
  AwsScope scope{time.substr(0, 8), "eu-west-1", "sts"};
  call.query =
      "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" +
      aws_uri_encode(keys.access_key + "/" + scope.text()) + "&X-Amz-Date=" + time +
      "&X-Amz-Expires=" + expires + "&X-Amz-SignedHeaders=host";
  AwsRequest request{"GET", "/", call.query, call.headers, digest_hex("sha256", "")};
  std::string text = aws_string_to_sign(time, scope, aws_canonical_request(request, {"host"}));
  call.query += "&X-Amz-Signature=" + aws_signature(aws_signing_key(keys.secret_key, scope), text);
  return call;
}

TEST(Caller, PresignedRequestsAreGoodAsLongAsTheySay) {
  EXPECT_EQ(refusal(presigned(now, "3600"), now + 3000), "");
  EXPECT_EQ(refusal(presigned(now, "3600"), now + 3700), "RequestExpired");
  EXPECT_EQ(refusal(presigned(now, "9999999")), "InvalidParameterValue");
  HttpCall call = presigned(now, "3600");
  call.query += "&Extra=1";
  EXPECT_EQ(refusal(call), "SignatureDoesNotMatch");
}

TEST(Caller, Dates) {
  EXPECT_EQ(parse_amz_date("20150830T123600Z"), 1440938160);
  EXPECT_EQ(format_amz_date(1440938160), "20150830T123600Z");
  EXPECT_EQ(parse_amz_date("2015-08-30T12:36:00Z"), std::nullopt);
  EXPECT_EQ(parse_amz_date(""), std::nullopt);
}

}  // namespace
}  // namespace kiln::ec2
