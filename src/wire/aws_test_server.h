// For tests only: an HTTP server on 127.0.0.1 that answers as a function says and remembers what it was asked.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/text.h"

namespace kiln {

struct TestHttpRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

struct TestHttpAnswer {
  int status = 200;
  std::string body;
};

/// One connection a request. Its thread calls `answer`.
class AwsTestServer {
 public:
  using Answer = std::function<TestHttpAnswer(const TestHttpRequest&)>;

  explicit AwsTestServer(Answer answer) : answer_(std::move(answer)) {
    listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener_.get(), 64);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~AwsTestServer() {
    stopping_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

  const std::string& url() const { return url_; }
  std::vector<TestHttpRequest> requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (!stopping_) {
      Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection.is_open()) return;
      serve_one(connection.get());
    }
  }

  void serve_one(int fd) {
    std::string text;
    size_t head = std::string::npos;
    char buffer[65536];
    while ((head = text.find("\r\n\r\n")) == std::string::npos) {
      ssize_t count = ::read(fd, buffer, sizeof buffer);
      if (count <= 0) return;
      text.append(buffer, static_cast<size_t>(count));
    }
    TestHttpRequest request;
    auto lines = split(std::string_view(text).substr(0, head), std::string_view("\r\n"));
    auto words = split(lines[0], ' ');
    request.method = words[0];
    request.target = words.size() > 1 ? words[1] : "";
    for (size_t i = 1; i < lines.size(); ++i) {
      size_t colon = lines[i].find(':');
      if (colon != std::string::npos)
        request.headers[lower(lines[i].substr(0, colon))] = std::string(trim(lines[i].substr(colon + 1)));
    }
    size_t length = std::strtoul(request.headers["content-length"].c_str(), nullptr, 10);
    request.body = text.substr(head + 4);
    while (request.body.size() < length) {
      ssize_t count = ::read(fd, buffer, sizeof buffer);
      if (count <= 0) return;
      request.body.append(buffer, static_cast<size_t>(count));
    }
    TestHttpAnswer answer;
    {
      std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    answer = answer_(request);
    std::string out = "HTTP/1.1 " + std::to_string(answer.status) +
                      " X\r\nConnection: close\r\nContent-Length: " + std::to_string(answer.body.size()) + "\r\n\r\n" +
                      answer.body;
    for (size_t sent = 0; sent < out.size();) {
      ssize_t count = ::send(fd, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return;
      sent += static_cast<size_t>(count);
    }
  }

  Answer answer_;
  Fd listener_;
  std::string url_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::vector<TestHttpRequest> requests_;
  std::thread thread_;
};

/// An environment made of these variables alone.
inline std::function<std::optional<std::string>(const std::string&)> test_environment(
    std::map<std::string, std::string> variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

}  // namespace kiln
