// Any text as a script's TAP: no crash, every line of a result is told once, and a failure of the script
// always shows.
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/process.h"
#include "tester/shell/tap.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t failed = 0, lines = 0, results = 0;
  TapReader reader("", [&](CheckResult result) {
    ++results;
    failed += result.status == CheckStatus::failed;
  });
  LineSplitter splitter([&](std::string_view line) {
    ++lines;
    begins_tap(line);
    reader.line(line);
  });
  splitter.feed(text);
  splitter.finish();
  reader.finish(1);
  KILN_CHECK(failed > 0 || results == 1);  // "1..0 # SKIP" alone is no failure
  KILN_CHECK(results <= lines + 2);
  return 0;
}
