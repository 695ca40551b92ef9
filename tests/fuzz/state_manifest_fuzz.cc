// Anything as the manifest of a machine's state: read, written and read again the same, or an Error.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "core/state_manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  try {
    StateManifest manifest = parse_manifest({reinterpret_cast<const char*>(data), size}, "state.json");
    std::string text = manifest_text(manifest);
    KILN_CHECK(manifest_text(parse_manifest(text, "state.json")) == text);
  } catch (const Error& error) {
    KILN_CHECK(error.kind() == ErrorKind::environment);
  }
  return 0;
}
