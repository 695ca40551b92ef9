// libcurl's transfers, driven through base/wait.h: a deadline or Stop ends them. Connections are kept between
// transfers of one loop.
#pragma once
#include <map>
#include <memory>
#include <optional>

#include "base/wait.h"
#include "wire/lazy_curl.h"

namespace kiln {

class CurlLoop {
 public:
  /// Throws Error{internal} when libcurl cannot be initialized.
  CurlLoop();
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;

  /// Runs one transfer to its end, whichever it is. Error{timeout} after the deadline, Error{cancelled} on
  /// Stop; the handle is free again in any case.
  CURLcode run(CURL* easy, const Deadline& deadline, const Stop& stop);

 private:
  CURLcode drive(const Deadline& deadline, const Stop& stop);
  static int on_socket(CURL*, curl_socket_t socket, int what, void* user, void*);
  static int on_timer(CURLM*, long milliseconds, void* user);

  std::unique_ptr<CURLM, CallToDelete<curl_multi_cleanup>> multi_;
  std::map<curl_socket_t, int> sockets_;
  std::optional<Deadline> timer_;
};

}  // namespace kiln
