#include "wire/aws_signature.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {
namespace {

const AwsScope vector_scope{"20150830", "us-east-1", "service"};
constexpr const char* vector_time = "20150830T123600Z";

const nlohmann::json& vectors() {
  static const auto all = nlohmann::json::parse(
      read_file(fs::path(KILN_SOURCE_DIR) / "tests/support/aws_signature/vectors.json"));
  return all;
}

/// A request as the vectors write it: a path may have blanks in it, a header's value may go on in the next line.
AwsRequest read_request(const std::string& text, bool normalize, bool sign_body) {
  AwsRequest request;
  request.normalize_path = normalize;
  size_t end = text.find("\n\n");
  std::string body = end == std::string::npos ? "" : text.substr(end + 2);
  auto lines = split(text.substr(0, end), '\n');
  std::string& first = lines[0];
  size_t blank = first.find(' ');
  std::string target = first.substr(blank + 1, first.rfind(" HTTP/") - blank - 1);
  request.method = first.substr(0, blank);
  size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string::npos) request.query = target.substr(question + 1);
  for (size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    if (lines[i][0] == ' ') {
      request.headers.back().second += lines[i];
      continue;
    }
    size_t colon = lines[i].find(':');
    request.headers.emplace_back(lines[i].substr(0, colon), lines[i].substr(colon + 1));
  }
  request.payload_sha256 = digest_hex("sha256", sign_body ? body : "");
  return request;
}

std::vector<std::string> names_signed(const std::string& canonical) {
  auto lines = split(canonical, '\n');
  return split(lines[lines.size() - 2], ';');
}

class Vectors : public testing::TestWithParam<size_t> {
 protected:
  const nlohmann::json& vector() { return vectors()["cases"][GetParam()]; }
};

TEST_P(Vectors, HeaderForm) {
  const auto& one = vector();
  AwsRequest request = read_request(one["request"], one["normalize"], one["sign_body"]);
  if (one["sign_body"].get<bool>()) request.headers.emplace_back("X-Amz-Content-Sha256", request.payload_sha256);
  AwsKeys keys{"AKIDEXAMPLE", vectors()["secret_key"], one["omit_token"].get<bool>() ? "" : one["token"]};
  HttpHeaders headers = aws_signed_headers(request, keys, vector_scope, vector_time);
  auto authorization = parse_aws_authorization(headers.back().second);
  ASSERT_TRUE(authorization);
  EXPECT_EQ(authorization->signature, one["header"]["signature"]);
  EXPECT_EQ(authorization->access_key, "AKIDEXAMPLE");
  EXPECT_EQ(authorization->scope.text(), vector_scope.text());
  request.headers = headers;
  std::string canonical = aws_canonical_request(request, authorization->signed_headers);
  EXPECT_EQ(canonical, one["header"]["canonical_request"]);
  EXPECT_EQ(aws_string_to_sign(vector_time, vector_scope, canonical), one["header"]["string_to_sign"]);
}

TEST_P(Vectors, QueryForm) {
  const auto& one = vector();
  AwsRequest request = read_request(one["query"]["signed_request"], one["normalize"], one["sign_body"]);
  std::vector<std::string> pairs;
  for (const auto& pair : split(request.query, '&')) {
    bool token_after = one["omit_token"].get<bool>() && pair.starts_with("X-Amz-Security-Token=");
    if (!pair.starts_with("X-Amz-Signature=") && !token_after) pairs.push_back(pair);
  }
  request.query = join(pairs, "&");
  std::string canonical = aws_canonical_request(request, names_signed(one["query"]["canonical_request"]));
  EXPECT_EQ(canonical, one["query"]["canonical_request"]);
  std::string text = aws_string_to_sign(vector_time, vector_scope, canonical);
  EXPECT_EQ(text, one["query"]["string_to_sign"]);
  EXPECT_EQ(aws_signature(aws_signing_key(vectors()["secret_key"].get<std::string>(), vector_scope), text),
            one["query"]["signature"]);
}

INSTANTIATE_TEST_SUITE_P(Suite, Vectors, testing::Range<size_t>(0, vectors()["cases"].size()), [](const auto& info) {
  return replace_all(vectors()["cases"][info.param]["name"], "-", "_");
});

TEST(AwsSignature, AuthorizationNeedsAllItsParts) {
  EXPECT_TRUE(parse_aws_authorization(
      "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/ec2/aws4_request,SignedHeaders=host,Signature=00"));
  EXPECT_FALSE(parse_aws_authorization(""));
  EXPECT_FALSE(parse_aws_authorization("Basic dXNlcjpwYXNz"));
  EXPECT_FALSE(parse_aws_authorization("AWS4-HMAC-SHA256"));
  EXPECT_FALSE(parse_aws_authorization("AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/ec2/aws4_request"));
  EXPECT_FALSE(parse_aws_authorization("AWS4-HMAC-SHA256 Credential=AK/x, SignedHeaders=host, Signature=00"));
  EXPECT_FALSE(
      parse_aws_authorization("AWS4-HMAC-SHA256 Credential=/d/r/s/aws4_request, SignedHeaders=host, Signature=0"));
  EXPECT_FALSE(
      parse_aws_authorization("AWS4-HMAC-SHA256 Credential=AK/d/r/s/aws4_request, SignedHeaders=, Signature=0"));
}

TEST(AwsSignature, EscapesComeOffOnce) {
  EXPECT_EQ(aws_uri_encode("a b/ü~"), "a%20b%2F%C3%BC~");
  EXPECT_EQ(aws_uri_encode("a/b", true), "a/b");
  EXPECT_EQ(aws_uri_decode("a%20b%2f%zz%2"), "a b/%zz%2");
}

TEST(AwsSignature, EqualityIsOfTheWhole) {
  EXPECT_TRUE(equal_in_constant_time("ab", "ab"));
  EXPECT_FALSE(equal_in_constant_time("ab", "ac"));
  EXPECT_FALSE(equal_in_constant_time("ab", "abc"));
}

}  // namespace
}  // namespace kiln
