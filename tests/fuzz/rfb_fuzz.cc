// Anything as a VNC server's words: the handshake ends, fails with an Error or wants more.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "wire/vnc.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  size_t piece = 1U + (data[0] >> 1) % 32;
  RfbHandshake handshake((data[0] & 1) != 0 ? "password" : "");
  try {
    for (size_t at = 0; at < text.size(); at += piece) {
      std::string answer = handshake.feed(text.substr(at, piece));
      KILN_CHECK(answer.size() < 256);
    }
  } catch (const Error& error) {
    KILN_CHECK(error.kind() == ErrorKind::remote);
  }
  return 0;
}
