// Anything as QEMU's words: objects or an Error, however the bytes are cut.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "wire/qmp.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  size_t piece = 1U + data[0] % 32;
  QmpDecoder decoder;
  try {
    for (size_t at = 0; at < text.size(); at += piece) {
      decoder.feed(text.substr(at, piece));
      while (auto message = decoder.next()) KILN_CHECK(message->is_object());
    }
  } catch (const Error& error) {
    KILN_CHECK(error.kind() == ErrorKind::remote);
  }
  return 0;
}
