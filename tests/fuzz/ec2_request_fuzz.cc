// Anything as a request to the EC2 endpoint: read, its parameters taken apart, its signature checked; an answer or an
// ApiError, and never a good signature. A form that was read is the same when written and read again.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "endpoint/api_error.h"
#include "endpoint/caller.h"
#include "endpoint/metadata.h"
#include "endpoint/request_params.h"
#include "endpoint/selection.h"
#include "endpoint/xml_text.h"

using namespace kiln;
using namespace kiln::ec2;

static void read_params(std::string_view form) {
  try {
    Params params = Params::parse(form);
    std::string again = params.form();
    KILN_CHECK(Params::parse(again).form() == again);
    KILN_CHECK(!xml_escape(again).empty() || again.empty());
    filters_of(params);
    page_of(params, 10);
    block_devices_of(params);
    tags_of_items(params.items("Tag"));
  } catch (const ApiError& error) {
    KILN_CHECK(!error.code().empty());
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  HttpReading reading = read_http_call(text);
  if (reading.state == HttpReading::State::whole) {
    KILN_CHECK(reading.used <= text.size());
    try {
      check_signature(
          reading.call,
          [](const std::string& id) {
            return std::optional(AwsKeys{id, "a secret", ""});
          },
          1790000000);
      KILN_CHECK(false);
    } catch (const ApiError& error) {
      KILN_CHECK(!error.code().empty());
    }
    Metadata metadata;
    metadata.tree = {{"a/b", "c"}, {"public-keys/0/name", "k"}, {"public-keys/0/openssh-key", "ssh-rsa AAAA"}};
    answer_metadata(metadata, reading.call, 1790000000);
    read_params(reading.call.query);
    read_params(reading.call.body);
  }
  read_params(text);
  size_t half = text.size() / 2;
  wildcard_match(text.substr(0, half), text.substr(half));
  return 0;
}
