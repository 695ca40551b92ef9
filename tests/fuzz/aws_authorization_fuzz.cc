// Anything as an Authorization header: what is taken has all its parts, and a canonical request can be made of them.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "wire/aws_signature.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto authorization = parse_aws_authorization(text)) {
    KILN_CHECK(!authorization->access_key.empty() && !authorization->scope.date.empty());
    KILN_CHECK(!authorization->signed_headers.empty() && !authorization->signature.empty());
    AwsRequest request{"GET", std::string(text), std::string(text), {{"Host", std::string(text)}}, "0"};
    aws_canonical_request(request, authorization->signed_headers);
  }
  AwsRequest request{"GET", std::string(text), std::string(text), {{"X", std::string(text)}}, "0"};
  KILN_CHECK(!aws_canonical_request(request, {"x"}).empty());
  KILN_CHECK(aws_uri_decode(aws_uri_encode(text)) == text);
  return 0;
}
