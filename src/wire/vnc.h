// RFB (VNC) as far as typing needs it: the handshake and key events (RFC 6143).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/wait.h"

namespace kiln {

/// The client's side of the handshake as a pure state machine: bytes in, bytes out.
class RfbHandshake {
 public:
  explicit RfbHandshake(std::string password) : password_(std::move(password)) {}
  /// Adds what the server sent; returns what to answer. Throws Error{remote} when the server refuses, wants what
  /// we cannot, or sends rubbish.
  std::string feed(std::string_view bytes);
  bool done() const { return state_ == State::done; }
  /// After done(): what the server told of itself.
  uint16_t width() const { return width_; }
  uint16_t height() const { return height_; }
  const std::string& name() const { return name_; }

 private:
  enum class State { version, security_types, security_type_33, challenge, result, reason, init, done };
  bool step(std::string& out);
  bool take(size_t count, std::string& to);
  uint32_t peek32(size_t at) const;
  void choose_security(std::string_view offered, std::string& out);

  State state_ = State::version;
  std::string password_;
  std::string in_;
  int minor_ = 8;
  uint8_t security_ = 0;
  uint16_t width_ = 0;
  uint16_t height_ = 0;
  std::string name_;
};

/// The answer to VNC authentication's challenge (DES with the password's bits reversed).
std::string vnc_challenge_response(std::string_view challenge, std::string_view password);

/// The bytes of a key event.
std::string rfb_key_event(uint32_t keysym, bool down);

/// A connection to a VNC server for one thread at a time.
class RfbClient {
 public:
  /// Connects to an IPv4 or IPv6 literal or "localhost". Throws Error{remote}, Error{timeout}.
  static RfbClient connect(const std::string& host, int port, const std::string& password, const Deadline& deadline,
                           const Stop& stop);
  /// Over a connected socket.
  RfbClient(Fd socket, const std::string& password, const Deadline& deadline, const Stop& stop);
  /// Sends a key movement; what the server sends meanwhile is read and dropped.
  void key(uint32_t keysym, bool down, const Deadline& deadline, const Stop& stop);

 private:
  void send(std::string_view bytes, const Deadline& deadline, const Stop& stop);
  Fd socket_;
};

}  // namespace kiln
