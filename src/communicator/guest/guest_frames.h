// The frames of the guest channel, as bytes and back. Pure. The protocol: docs/formats/guest-channel.md.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kiln {

/// Types and sizes are agent.c's as well. Above 0x80: from the guest.
enum class GuestFrame : uint8_t {
  padding = 0,  ///< one byte, without a length
  hello = 1,
  command = 2,
  start = 3,
  input = 4,
  input_end = 5,
  cancel = 6,
  reseed = 7,
  ping = 8,
  quit = 9,
  file = 10,
  flush = 11,
  answer = 0x81,
  output = 0x82,
  errors = 0x83,
  window = 0x84,
  ended = 0x85,
  reseeded = 0x86,
  pong = 0x87,
  bye = 0x88,
};

constexpr size_t guest_payload_limit = 32 << 10;
constexpr size_t guest_input_window = 256 << 10;  ///< bytes of input under way at most
constexpr size_t guest_token_size = 16;
constexpr size_t guest_seed_limit = 4096;
constexpr size_t guest_path_limit = 4095;
// What the last byte of an answer says of the agent.
constexpr uint8_t guest_agent_is_root = 1;
constexpr uint8_t guest_agent_takes_files = 2;  ///< it knows `file` and `flush`

/// One frame; its payload is guest_payload_limit at most.
std::string guest_frame(GuestFrame type, std::string_view payload = {});
/// hello, alone.
std::string guest_hello(std::string_view token);
/// What a new connection begins with: enough padding to end whatever frame was half sent before, then hello.
std::string guest_greeting(std::string_view token);
/// Little-endian numbers in payloads.
std::string guest_number(uint64_t value, size_t bytes);
uint64_t guest_number_at(std::string_view payload, size_t at, size_t bytes);

struct GuestMessage {
  GuestFrame type;
  std::string payload;  ///< of the size its type demands
};

/// Cuts what the guest sends into messages. Everything before the answer to our hello is of a session before, and
/// skipped. Holds at most one frame beyond what was fed last.
class GuestDecoder {
 public:
  explicit GuestDecoder(std::string_view token);
  void feed(std::string_view bytes);
  /// The next whole message; the first is `answer`. Throws Error{remote} on what is no frame; nothing comes after it.
  std::optional<GuestMessage> next();
  bool has_answer() const { return answered_; }

 private:
  bool find_answer();
  std::string answer_begins_;
  std::string pending_;
  size_t at_ = 0;
  bool answered_ = false;
};

}  // namespace kiln
