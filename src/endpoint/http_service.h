// An HTTP/1.1 server for small requests and answers: a thread a connection, so that an answer may wait.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/wait.h"
#include "wire/aws_signature.h"

namespace kiln::ec2 {

/// One request. Everything as it came.
struct HttpCall {
  std::string method;
  std::string path;  ///< without the query
  std::string query;
  HttpHeaders headers;
  std::string body;
  int socket = -1;  ///< of the client (borrowed): readable when it hangs up
  /// The first header of that name (any case); "" when there is none.
  std::string header(std::string_view name) const;
};

struct HttpReply {
  int status = 200;
  std::string type = "text/xml;charset=UTF-8";
  std::string body;
  HttpHeaders headers;
};

constexpr size_t longest_head = 64 * 1024;
constexpr size_t longest_body = 8 * 1024 * 1024;

/// What reading a request came to.
struct HttpReading {
  enum class State { more, whole, bad } state = State::more;
  int status = 400;  ///< of the answer to a bad one
  std::string complaint;
  HttpCall call;
  size_t used = 0;                ///< bytes of the buffer
  bool expects_continue = false;  ///< the client waits for "100 Continue" before it sends the body
};
/// Reads the request at the beginning of `buffer`. Pure.
HttpReading read_http_call(std::string_view buffer);
/// The answer as bytes.
std::string http_reply_text(const HttpReply& reply, bool close);

class HttpService {
 public:
  /// May be called from many threads at once; must end soon after `stop`. What it throws becomes status 500.
  using Handler = std::function<HttpReply(const HttpCall&, const Stop& stop)>;
  /// Listens on `address` (IPv4); port 0: any that is free. Throws Error{environment}.
  HttpService(const std::string& address, int port, Handler handler);
  /// Stops, and waits for the connections' threads.
  ~HttpService();
  HttpService(const HttpService&) = delete;
  HttpService& operator=(const HttpService&) = delete;
  int port() const { return port_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  int port_ = 0;
};

/// Serves one connection: reads from `in`, writes to `out` (the same descriptor for a socket), until the
/// client goes, `stop`, or a request asks to close.
void serve_http(int in, int out, const HttpService::Handler& handler, const Stop& stop);

}  // namespace kiln::ec2
