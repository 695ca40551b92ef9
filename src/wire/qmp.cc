#include "wire/qmp.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace kiln {

namespace {

constexpr size_t longest_qmp_line = 16U << 20U;

/// As ::send, with a descriptor beside the bytes.
ssize_t send_with(int socket, std::string_view bytes, int given) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof given)]{};
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (given >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof given);
    std::memcpy(CMSG_DATA(head), &given, sizeof given);
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL);
}

Error qmp_ended() { return Error(ErrorKind::remote, "QEMU closed its control connection"); }

}  // namespace

void QmpDecoder::feed(std::string_view bytes) {
  pending_ += bytes;
  for (;;) {
    size_t end = pending_.find('\n');
    if (end == std::string::npos) break;
    std::string line = pending_.substr(0, end);
    pending_.erase(0, end + 1);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    auto message = nlohmann::json::parse(line, nullptr, false);
    if (!message.is_object()) throw Error(ErrorKind::remote, "QEMU sent no QMP message: " + line.substr(0, 200));
    ready_.push_back(std::move(message));
  }
  if (pending_.size() > longest_qmp_line) throw Error(ErrorKind::remote, "QEMU sent an endless QMP message");
}

std::optional<nlohmann::json> QmpDecoder::next() {
  if (ready_.empty()) return std::nullopt;
  auto message = std::move(ready_.front());
  ready_.pop_front();
  return message;
}

QmpClient::QmpClient(Fd socket, const Deadline& deadline, const Stop& stop) : socket_(std::move(socket)) {
  set_nonblocking(socket_.get());
  for (;;) {
    if (auto message = decoder_.next()) {
      if (message->contains("QMP")) break;
      throw Error(ErrorKind::remote, "QEMU's control connection did not greet");
    }
    if (!read_more(deadline, stop)) {
      if (closed_) throw qmp_ended();
      throw Error(ErrorKind::timeout, "QEMU did not answer on its control connection");
    }
  }
  execute("qmp_capabilities", nlohmann::json::object(), deadline, stop);
}

QmpClient QmpClient::connect(const std::string& path, const Deadline& deadline, const Stop& stop) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw Error(ErrorKind::user, "the socket's path is too long: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) throw_errno("socket");
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw_errno("connect to " + path);
  }
  return QmpClient(std::move(socket), deadline, stop);
}

void QmpClient::send(const nlohmann::json& message, int given, const Deadline& deadline, const Stop& stop) {
  std::string text = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::string_view left = text;
  while (!left.empty()) {
    ssize_t n = send_with(socket_.get(), left, given);
    if (n > 0) {
      given = -1;
      left.remove_prefix(static_cast<size_t>(n));
    } else if (n < 0 && errno == EAGAIN) {
      if (wait(socket_.get(), POLLOUT, deadline, stop) == Woke::deadline) {
        throw Error(ErrorKind::timeout, "QEMU does not read its control connection");
      }
    } else if (n < 0 && errno != EINTR) {
      closed_ = true;
      throw qmp_ended();
    }
  }
}

bool QmpClient::read_more(const Deadline& deadline, const Stop& stop) {
  if (closed_) return false;
  for (;;) {
    if (wait(socket_.get(), POLLIN, deadline, stop) == Woke::deadline) return false;
    char buffer[16384];
    ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (n > 0) {
      decoder_.feed(std::string_view(buffer, static_cast<size_t>(n)));
      return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    closed_ = true;
    return false;
  }
}

nlohmann::json QmpClient::execute(const std::string& command, const nlohmann::json& arguments,
                                  const Deadline& deadline, const Stop& stop, int given) {
  int64_t id = ++next_id_;
  nlohmann::json request{{"execute", command}, {"id", id}};
  if (!arguments.empty()) request["arguments"] = arguments;
  send(request, given, deadline, stop);
  for (;;) {
    while (auto message = decoder_.next()) {
      if (message->contains("event")) {
        events_.push_back(std::move(*message));
        continue;
      }
      auto answered = message->find("id");
      if (answered != message->end() && *answered != id) continue;  // of a command given up before
      if (auto found = message->find("return"); found != message->end()) return *found;
      std::string why = "unknown error";
      if (auto error = message->find("error"); error != message->end() && error->is_object()) {
        auto text = error->find("desc");
        if (text != error->end() && text->is_string()) why = text->get<std::string>();
      }
      throw Error(ErrorKind::remote, fmt::format("{}: {}", command, why));
    }
    if (!read_more(deadline, stop)) {
      if (closed_) throw qmp_ended().with_context(command);
      throw Error(ErrorKind::timeout, command + ": QEMU did not answer in time");
    }
  }
}

std::optional<nlohmann::json> QmpClient::poll_event() {
  while (auto message = decoder_.next()) {
    if (message->contains("event")) events_.push_back(std::move(*message));
  }
  if (events_.empty()) return std::nullopt;
  auto event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<nlohmann::json> QmpClient::next_event(const Deadline& deadline, const Stop& stop) {
  for (;;) {
    if (auto event = poll_event()) return event;
    if (!read_more(deadline, stop)) return std::nullopt;
  }
}

}  // namespace kiln
