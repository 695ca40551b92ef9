// Any bytes as JSON: no crash; what is read can be written and read again unchanged; an error has a place.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "lang/packer_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  auto read = [](std::string text, Diagnostics& diagnostics) {
    return parse_json(std::make_shared<SourceFile>(SourceFile{"fuzz.json", std::move(text)}), diagnostics);
  };
  Diagnostics diagnostics;
  Value value = read(std::string(reinterpret_cast<const char*>(data), size), diagnostics);
  for (const auto& item : diagnostics.items()) {
    KILN_CHECK(item.range.known());
    KILN_CHECK(item.range.begin <= item.range.end && item.range.end <= size);
    render_diagnostic(item);
  }
  if (diagnostics.has_errors()) return 0;
  Diagnostics again;
  Value second = read(to_json(value), again);
  KILN_CHECK(again.empty());
  KILN_CHECK(second == value);
  return 0;
}
