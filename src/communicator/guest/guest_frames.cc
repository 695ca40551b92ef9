#include "communicator/guest/guest_frames.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace kiln {

namespace {

constexpr size_t guest_header_size = 4;
constexpr std::string_view guest_magic = "KILNGST1";
constexpr size_t guest_answer_size = guest_magic.size() + guest_token_size + 1;

bool guest_size_fits(GuestFrame type, size_t size) {
  switch (type) {
    case GuestFrame::answer: return size == guest_answer_size;
    case GuestFrame::output:
    case GuestFrame::errors: return size > 0;
    case GuestFrame::window: return size == 4;
    case GuestFrame::ended: return size >= 5;
    case GuestFrame::reseeded: return size == 8;
    case GuestFrame::pong: return true;
    case GuestFrame::bye: return size == 0;
    default: return false;
  }
}

std::string guest_header(GuestFrame type, size_t size) {
  return static_cast<char>(type) + guest_number(size, guest_header_size - 1);
}

}  // namespace

std::string guest_number(uint64_t value, size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

uint64_t guest_number_at(std::string_view payload, size_t at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= uint64_t{static_cast<uint8_t>(payload.at(at + i))} << (8 * i);
  return value;
}

std::string guest_frame(GuestFrame type, std::string_view payload) {
  KILN_CHECK(payload.size() <= guest_payload_limit);
  return guest_header(type, payload.size()).append(payload);
}

std::string guest_hello(std::string_view token) {
  KILN_CHECK(token.size() == guest_token_size);
  return guest_frame(GuestFrame::hello, std::string(guest_magic).append(token));
}

std::string guest_greeting(std::string_view token) {
  constexpr size_t zeros_that_tell = 128;  // for an agent that had lost track: it waits for 64
  return std::string(guest_payload_limit + zeros_that_tell, static_cast<char>(GuestFrame::padding)) +
         guest_hello(token);
}

GuestDecoder::GuestDecoder(std::string_view token)
    : answer_begins_(guest_header(GuestFrame::answer, guest_answer_size).append(guest_magic).append(token)) {}

void GuestDecoder::feed(std::string_view bytes) {
  pending_.erase(0, at_);
  at_ = 0;
  pending_ += bytes;
}

bool GuestDecoder::find_answer() {
  size_t found = pending_.find(answer_begins_, at_);
  if (found != std::string::npos) {
    at_ = found;
    return answered_ = true;
  }
  // Its beginning may be what came last.
  at_ = std::max(at_, pending_.size() - std::min(pending_.size(), answer_begins_.size() - 1));
  return false;
}

std::optional<GuestMessage> GuestDecoder::next() {
  if (!answered_ && !find_answer()) return std::nullopt;
  std::string_view left = std::string_view(pending_).substr(at_);
  if (left.size() < guest_header_size) return std::nullopt;
  auto type = static_cast<GuestFrame>(left[0]);
  size_t size = guest_number_at(left, 1, guest_header_size - 1);
  if (size > guest_payload_limit || !guest_size_fits(type, size)) {
    throw Error(ErrorKind::remote, fmt::format("the guest's agent sent what is no frame (type {}, {} bytes)",
                                               static_cast<int>(type), size));
  }
  if (left.size() < guest_header_size + size) return std::nullopt;
  at_ += guest_header_size + size;
  return GuestMessage{type, std::string(left.substr(guest_header_size, size))};
}

}  // namespace kiln
