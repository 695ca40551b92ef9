#include "wire/curl_loop.h"

#include <mutex>
#include <vector>

#include "base/error.h"

namespace kiln {

namespace {

CURLM* new_multi() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  return curl_multi_init();
}

}  // namespace

CurlLoop::CurlLoop() : multi_(new_multi()) {
  if (!multi_) throw Error(ErrorKind::internal, "libcurl could not be initialized");
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &CurlLoop::on_socket);
  curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &CurlLoop::on_timer);
  curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
}

int CurlLoop::on_socket(CURL*, curl_socket_t socket, int what, void* user, void*) {
  auto& loop = *static_cast<CurlLoop*>(user);
  if (what == CURL_POLL_REMOVE)
    loop.sockets_.erase(socket);
  else
    loop.sockets_[socket] = what;
  return 0;
}

int CurlLoop::on_timer(CURLM*, long milliseconds, void* user) {
  auto& loop = *static_cast<CurlLoop*>(user);
  loop.timer_.reset();
  if (milliseconds >= 0) loop.timer_ = Deadline::in(Millis(milliseconds));
  return 0;
}

CURLcode CurlLoop::run(CURL* easy, const Deadline& deadline, const Stop& stop) {
  curl_multi_add_handle(multi_.get(), easy);
  struct Removal {
    CURLM* multi;
    CURL* easy;
    ~Removal() { curl_multi_remove_handle(multi, easy); }
  } removal{multi_.get(), easy};
  return drive(deadline, stop);
}

/// By poll: the socket interface of libcurl has no limit on descriptor numbers.
CURLcode CurlLoop::drive(const Deadline& deadline, const Stop& stop) {
  int running = 0;
  curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
  while (true) {
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg == CURLMSG_DONE) return message->data.result;
    }
    if (deadline.passed()) throw Error(ErrorKind::timeout, "the transfer took too long");
    std::vector<pollfd> fds;
    for (auto [socket, what] : sockets_) {
      short events = 0;
      if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= POLLIN;
      if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= POLLOUT;
      fds.push_back({socket, events, 0});
    }
    Deadline next = timer_ ? *timer_ : Deadline::in(std::chrono::seconds(1));
    if (next.at() > deadline.at()) next = deadline;
    if (wait(fds, next, stop) == Woke::deadline) {
      timer_.reset();
      curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
      continue;
    }
    for (const auto& fd : fds) {
      if (fd.revents == 0) continue;
      int mask = 0;
      if (fd.revents & POLLIN) mask |= CURL_CSELECT_IN;
      if (fd.revents & POLLOUT) mask |= CURL_CSELECT_OUT;
      if (fd.revents & (POLLERR | POLLHUP)) mask |= CURL_CSELECT_ERR | CURL_CSELECT_IN;
      curl_multi_socket_action(multi_.get(), fd.fd, mask, &running);
    }
  }
}

}  // namespace kiln
