#include "wire/vnc.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "wire/lazy_des.h"

namespace kiln {

namespace {

constexpr uint8_t security_none = 1;
constexpr uint8_t security_vnc = 2;
constexpr size_t longest_rfb_text = size_t{64} * 1024;

Error rfb_error(const std::string& text) { return Error(ErrorKind::remote, "VNC: " + text); }

}  // namespace

std::string vnc_challenge_response(std::string_view challenge, std::string_view password) {
  DES_cblock key{};
  for (size_t i = 0; i < 8 && i < password.size(); ++i) {
    auto byte = static_cast<unsigned char>(password[i]);
    unsigned char reversed = 0;
    for (int bit = 0; bit < 8; ++bit) reversed = static_cast<unsigned char>((reversed << 1) | ((byte >> bit) & 1));
    key[i] = reversed;
  }
  DES_key_schedule schedule;
  DES_set_key_unchecked(&key, &schedule);
  std::string out(challenge.size(), '\0');
  for (size_t at = 0; at + 8 <= challenge.size(); at += 8) {
    DES_cblock from, to;
    std::memcpy(from, challenge.data() + at, 8);
    DES_ecb_encrypt(&from, &to, &schedule, DES_ENCRYPT);
    std::memcpy(out.data() + at, to, 8);
  }
  return out;
}

std::string rfb_key_event(uint32_t keysym, bool down) {
  std::string out{'\x04', down ? '\x01' : '\x00', '\0', '\0'};
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((keysym >> shift) & 0xFF);
  return out;
}

bool RfbHandshake::take(size_t count, std::string& to) {
  if (in_.size() < count) return false;
  to = in_.substr(0, count);
  in_.erase(0, count);
  return true;
}

uint32_t RfbHandshake::peek32(size_t at) const {
  uint32_t out = 0;
  for (size_t i = 0; i < 4; ++i) out = (out << 8) | static_cast<unsigned char>(in_[at + i]);
  return out;
}

void RfbHandshake::choose_security(std::string_view offered, std::string& out) {
  for (uint8_t wanted : {password_.empty() ? security_none : security_vnc, security_none, security_vnc}) {
    if (offered.find(static_cast<char>(wanted)) == std::string_view::npos) continue;
    security_ = wanted;
    break;
  }
  if (security_ == 0) throw rfb_error("the server offers no way to log in that is supported");
  if (security_ == security_vnc && password_.empty()) throw rfb_error("the server wants a password");
  if (minor_ >= 7) out += static_cast<char>(security_);
  if (security_ == security_vnc) {
    state_ = State::challenge;
  } else if (minor_ >= 8) {
    state_ = State::result;
  } else {
    out += '\x01';
    state_ = State::init;
  }
}

std::string RfbHandshake::feed(std::string_view bytes) {
  if (state_ == State::done) return "";
  in_ += bytes;
  if (in_.size() > 4 * longest_rfb_text) throw rfb_error("the server sends too much");
  std::string out;
  while (state_ != State::done && step(out)) {
  }
  return out;
}

bool RfbHandshake::step(std::string& out) {
  std::string got;
  switch (state_) {
    case State::version: {
      if (!take(12, got)) return false;
      if (!got.starts_with("RFB 003.") || got[11] != '\n') throw rfb_error("this is no VNC server");
      int minor = std::atoi(got.substr(8, 3).c_str());
      minor_ = minor >= 8 ? 8 : minor == 7 ? 7 : 3;
      out += "RFB 003.00" + std::to_string(minor_) + "\n";
      state_ = minor_ == 3 ? State::security_type_33 : State::security_types;
      return true;
    }
    case State::security_types: {
      if (in_.empty()) return false;
      auto count = static_cast<unsigned char>(in_[0]);
      if (in_.size() < 1U + count) return false;
      take(1U + count, got);
      if (count == 0) state_ = State::reason;
      else choose_security(std::string_view(got).substr(1), out);
      return true;
    }
    case State::security_type_33: {
      if (in_.size() < 4) return false;
      uint32_t type = peek32(0);
      take(4, got);
      if (type == 0) state_ = State::reason;
      else choose_security(std::string(1, type < 256 ? static_cast<char>(type) : '\0'), out);
      return true;
    }
    case State::challenge:
      if (!take(16, got)) return false;
      out += vnc_challenge_response(got, password_);
      state_ = State::result;
      return true;
    case State::result: {
      if (in_.size() < 4) return false;
      uint32_t result = peek32(0);
      take(4, got);
      if (result == 0) {
        out += '\x01';  // shared: whoever watches may go on watching
        state_ = State::init;
      } else if (minor_ >= 8) {
        state_ = State::reason;
      } else {
        throw rfb_error("the server refused the password");
      }
      return true;
    }
    case State::reason: {
      if (in_.size() < 4) return false;
      uint32_t length = peek32(0);
      if (length > longest_rfb_text) throw rfb_error("the server refused, with an endless reason");
      if (in_.size() < 4 + length) return false;
      throw rfb_error("the server refused: " + in_.substr(4, length));
    }
    case State::init: {
      if (in_.size() < 24) return false;
      uint32_t length = peek32(20);
      if (length > longest_rfb_text) throw rfb_error("the server's name is endless");
      if (in_.size() < 24 + length) return false;
      width_ = static_cast<uint16_t>(peek32(0) >> 16);
      height_ = static_cast<uint16_t>(peek32(0) & 0xFFFF);
      name_ = in_.substr(24, length);
      state_ = State::done;
      return false;
    }
    case State::done: return false;
  }
  return false;
}

RfbClient::RfbClient(Fd socket, const std::string& password, const Deadline& deadline, const Stop& stop)
    : socket_(std::move(socket)) {
  set_nonblocking(socket_.get());
  RfbHandshake handshake(password);
  while (!handshake.done()) {
    if (wait(socket_.get(), POLLIN, deadline, stop) == Woke::deadline) {
      throw Error(ErrorKind::timeout, "VNC: the server did not answer in time");
    }
    char buffer[4096];
    ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) throw rfb_error("the server closed the connection");
    send(handshake.feed(std::string_view(buffer, static_cast<size_t>(n))), deadline, stop);
  }
}

RfbClient RfbClient::connect(const std::string& host, int port, const std::string& password,
                             const Deadline& deadline, const Stop& stop) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0) {
    throw rfb_error(host + ": " + ::gai_strerror(error));
  }
  std::string why = "no address";
  Fd socket;
  for (addrinfo* a = found; a != nullptr && !socket.is_open(); a = a->ai_next) {
    Fd attempt(::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!attempt.is_open()) continue;
    int error = 0;
    if (::connect(attempt.get(), a->ai_addr, a->ai_addrlen) != 0) error = errno;
    if (error == EINPROGRESS) {
      socklen_t size = sizeof error;
      try {
        if (wait(attempt.get(), POLLOUT, deadline, stop) == Woke::deadline) error = ETIMEDOUT;
        else ::getsockopt(attempt.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      } catch (const Error&) {
        ::freeaddrinfo(found);
        throw;
      }
    }
    if (error == 0) socket = std::move(attempt);
    else why = std::strerror(error);
  }
  ::freeaddrinfo(found);
  if (!socket.is_open()) throw rfb_error("cannot connect to " + host + ":" + std::to_string(port) + ": " + why);
  return RfbClient(std::move(socket), password, deadline, stop);
}

void RfbClient::send(std::string_view bytes, const Deadline& deadline, const Stop& stop) {
  while (!bytes.empty()) {
    ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (n < 0 && errno == EAGAIN) {
      if (wait(socket_.get(), POLLOUT, deadline, stop) == Woke::deadline) {
        throw Error(ErrorKind::timeout, "VNC: the server does not read");
      }
    } else if (n < 0 && errno != EINTR) {
      throw rfb_error(std::string("the connection broke: ") + std::strerror(errno));
    }
  }
}

void RfbClient::key(uint32_t keysym, bool down, const Deadline& deadline, const Stop& stop) {
  char buffer[4096];
  ssize_t n = 0;
  while ((n = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
  }
  if (n == 0) throw rfb_error("the server closed the connection");
  send(rfb_key_event(keysym, down), deadline, stop);
}

}  // namespace kiln
