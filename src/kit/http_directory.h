// The HTTP server that a machine being installed reads its answers from (packer-surface 10.4).
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/stage_context.h"
#include "lang/option.h"

namespace kiln {

/// http_* options. http_content stays as written at prepare and is rendered when the server starts.
struct HttpConfig {
  std::string http_directory;
  std::map<std::string, std::string> http_content;
  int http_port_min = 8000;
  int http_port_max = 9000;
  std::string http_bind_address;  ///< empty: what the builder thinks right
  std::string http_interface;
  std::string http_network_protocol = "tcp";
  bool wanted() const { return !http_directory.empty() || !http_content.empty(); }
};
const OptionTable<HttpConfig>& http_options();
void prepare_http(const Value& object, HttpConfig& http, const TemplateScope& scope, Diagnostics& diagnostics);

/// What is served.
struct HttpSite {
  std::filesystem::path directory;             ///< or empty
  std::map<std::string, std::string> content;  ///< path -> text
};

/// One answer, as a value.
struct HttpAnswer {
  int status = 200;
  std::string reason = "OK";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;              ///< when no file
  std::filesystem::path file;    ///< bytes [offset, offset + length) of it are the body
  uint64_t offset = 0;
  uint64_t length = 0;
};
/// What the site answers: files with index.html, listings, redirects to a trailing slash, single ranges and
/// If-Modified-Since, as Go's file server does; or the fixed texts. Reads the file system, changes nothing.
HttpAnswer answer_http(const HttpSite& site, std::string_view request_head);

/// A server on its own thread, for GET and HEAD; a few connections at a time. The destructor stops it.
class HttpServer {
 public:
  /// Listens on `address` (an IPv4 or IPv6 literal) at a free port of [port_min, port_max) (port_max itself only
  /// when both are equal), chosen at random and held from then on. Throws Error{environment}.
  HttpServer(HttpSite site, const std::string& address, int port_min, int port_max);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  int port() const { return port_; }
  /// Requests answered so far, for the log: "GET /answer 200".
  std::vector<std::string> take_log();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  int port_ = 0;
};

/// The first address of a network interface; empty if it has none.
std::string interface_address(const std::string& interface);
/// The address to bind for these options; `fallback` when they do not say.
std::string http_listen_address(const HttpConfig& http, const std::string& fallback);
/// http_content rendered for the run. Throws Error{user}.
HttpSite make_http_site(const HttpConfig& http, const TemplateScope& scope, const Value& dot);

}  // namespace kiln
