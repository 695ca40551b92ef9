#include "communicator/guest/guest_command.h"

#include <algorithm>

#include "base/error.h"

namespace kiln {

namespace {

constexpr size_t unsent_limit = 1 << 20;
constexpr size_t output_limit_while_writing = 16 << 20;

std::string printable(std::string_view text) {
  std::string out(text.substr(0, 200));
  std::replace_if(out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

}  // namespace

GuestCommand::GuestCommand(GuestLink& link, const std::string& line, const Deadline& deadline, const Stop& stop)
    : link_(link), deadline_(deadline), stop_(stop) {
  link_.start(line);
}

GuestCommand::GuestCommand(GuestLink& link, GuestFrame type, std::string_view payload, std::string doing,
                           const Deadline& deadline, const Stop& stop)
    : link_(link), doing_(std::move(doing)), deadline_(deadline), stop_(stop) {
  link_.start(type, payload);
}

GuestCommand::~GuestCommand() {
  if (!status_) link_.abandon();
}

void GuestCommand::take_end(const std::string& payload) {
  auto how = static_cast<uint8_t>(payload[0]);
  auto value = static_cast<int>(guest_number_at(payload, 1, 4) & 0xffU);
  status_ = how == 0 ? value : how == 1 ? 128 + value : 255;
  if (how > 1) throw Error(ErrorKind::remote, doing_ + ": " + printable(payload.substr(5)));
}

void GuestCommand::take(const GuestMessage& message) {
  switch (message.type) {
    case GuestFrame::output: out += message.payload; break;
    case GuestFrame::errors: err += message.payload; break;
    case GuestFrame::window:
      window_ = std::min<size_t>(guest_input_window, window_ + guest_number_at(message.payload, 0, 4));
      break;
    case GuestFrame::ended: take_end(message.payload); break;
    default: break;
  }
}

void GuestCommand::wait(const char* too_late) {
  if (link_.wait(deadline_, stop_) == Woke::deadline) throw Error(ErrorKind::timeout, too_late);
  while (!status_) {
    auto message = link_.next();
    if (!message) break;
    take(*message);
  }
}

bool GuestCommand::more() {
  while (out.empty()) {
    if (status_) return false;
    wait("the machine took too long to answer");
    if (err.size() > 65536) err.erase(0, err.size() - 16384);
  }
  return true;
}

void GuestCommand::write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (status_) throw_ended();
    size_t piece = std::min({bytes.size(), window_, guest_payload_limit});
    if (piece > 0 && link_.unsent() < unsent_limit) {
      link_.send(GuestFrame::input, bytes.substr(0, piece));
      bytes.remove_prefix(piece);
      window_ -= piece;
      continue;
    }
    wait("the transfer took too long");
    if (out.size() > output_limit_while_writing) {
      throw Error(ErrorKind::remote, "the remote command talks instead of listening");
    }
  }
}

void GuestCommand::send_eof() {
  if (std::exchange(input_ended_, true) || status_) return;
  link_.send(GuestFrame::input_end);
}

int GuestCommand::finish() {
  send_eof();
  while (!status_) {
    out.clear();
    wait("the remote command took too long to end");
  }
  return *status_;
}

}  // namespace kiln
