// Anything as an HTTP request: an answer that stays inside the served directory.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "kit/http_directory.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  HttpSite site;
  site.directory = "/usr/share/common-licenses";
  HttpAnswer answer = answer_http(site, text);
  KILN_CHECK(answer.status >= 200 && answer.status < 500);
  KILN_CHECK(answer.file.empty() || answer.file.string().starts_with("/usr/share/common-licenses/"));
  HttpSite texts;
  texts.content = {{"/a", "text"}};
  KILN_CHECK(answer_http(texts, text).file.empty());
  return 0;
}
