// Anything as the words of a guest's agent: messages of the sizes their types demand or an Error, however cut.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "communicator/guest/guest_frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  size_t piece = 1U + data[0] % 64;
  GuestDecoder decoder("0123456789abcdef");
  bool first = true;
  try {
    for (size_t at = 0; at < text.size(); at += piece) {
      decoder.feed(text.substr(at, piece));
      while (auto message = decoder.next()) {
        if (first) KILN_CHECK(message->type == GuestFrame::answer);
        first = false;
        KILN_CHECK(static_cast<uint8_t>(message->type) > 0x80);
        KILN_CHECK(message->payload.size() <= guest_payload_limit);
        if (message->type == GuestFrame::window) guest_number_at(message->payload, 0, 4);
        if (message->type == GuestFrame::ended) guest_number_at(message->payload, 1, 4);
        if (message->type == GuestFrame::reseeded) guest_number_at(message->payload, 4, 4);
      }
    }
  } catch (const Error& error) {
    KILN_CHECK(error.kind() == ErrorKind::remote);
  }
  return 0;
}
