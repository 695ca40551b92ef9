// What AWS, a metadata service or a hand-written file of profiles may say: no input may do more than throw Error.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "wire/aws_metadata.h"
#include "wire/aws_profile.h"
#include "wire/aws_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  try {
    kiln::AwsElement root = kiln::parse_aws_xml(text);
    root.items("reservationSet");
    kiln::aws_tags(root);
  } catch (const kiln::Error&) {
  }
  kiln::read_aws_error({.status = 400, .headers = {{"x-amzn-errortype", text.substr(0, 20)}}, .body = text});
  kiln::merge_aws_profiles(text, text);
  kiln::parse_aws_time(text);
  try {
    kiln::read_metadata_credentials(text, "test");
  } catch (const kiln::Error&) {
  }
  return 0;
}
