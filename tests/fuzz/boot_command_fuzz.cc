// Any text as a boot command: it is typed or refused, and nothing typed gets lost.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "kit/boot_command.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  BootActions parsed = parse_boot_command(text);
  KILN_CHECK(parsed.actions.size() <= text.size());
  KILN_CHECK(boot_keystrokes(parsed.actions).size() <= 4 * parsed.actions.size());
  return 0;
}
