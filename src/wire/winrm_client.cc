#include "wire/winrm_client.h"

#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "wire/curl_loop.h"
#include "wire/lazy_curl.h"

namespace kiln {

namespace {

using namespace std::chrono_literals;

constexpr auto operation_time = 60s;  // what the service may take for one operation
constexpr auto silence_time = 20s;    // how long it waits for output before it says that there is none
constexpr auto network_time = 30s;    // what the way there and back may take on top
constexpr long winrm_connect_time_s = 15;

size_t collect_body(char* data, size_t, size_t size, void* user) {
  static_cast<std::string*>(user)->append(data, size);
  return size;
}

bool is_this_machine(std::string host) {
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string url_host(const std::string& host) {
  return contains(host, ":") && !host.starts_with("[") ? "[" + host + "]" : host;
}

}  // namespace

std::string winrm_proxy(const WinrmEndpoint& endpoint, const std::function<std::string(const char*)>& env) {
  if (endpoint.no_proxy || is_this_machine(endpoint.host)) return "";
  std::string proxy = env(endpoint.https ? "HTTPS_PROXY" : "HTTP_PROXY");
  return proxy.empty() ? env(endpoint.https ? "https_proxy" : "http_proxy") : proxy;
}

struct WinrmClient::Transport {
  CurlLoop loop;
  std::unique_ptr<CURL, CallToDelete<curl_easy_cleanup>> easy{curl_easy_init()};
  std::unique_ptr<curl_slist, CallToDelete<curl_slist_free_all>> headers;
  std::array<char, CURL_ERROR_SIZE> detail{};

  Transport(const WinrmEndpoint& endpoint, const std::string& url);
  /// Returns the HTTP status; the answer's text into `body`.
  long post(const std::string& request, std::string& body, const Deadline& deadline, const Stop& stop);
};

WinrmClient::Transport::Transport(const WinrmEndpoint& endpoint, const std::string& url) {
  if (!easy) throw Error(ErrorKind::internal, "libcurl could not be initialized");
  // NTLM proves itself once a connection: nothing to be gained by "Expect: 100-continue".
  for (const char* line : {"Content-Type: application/soap+xml;charset=UTF-8", "Expect:"}) {
    curl_slist* longer = curl_slist_append(headers.get(), line);
    if (longer) (void)headers.release(), headers.reset(longer);
  }
  auto env = [](const char* name) { return get_env(name).value_or(""); };
  std::string no_proxy = env("NO_PROXY").empty() ? env("no_proxy") : env("NO_PROXY");
  CURL* handle = easy.get();
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "kiln/" KILN_VERSION);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, winrm_connect_time_s);
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_HTTPAUTH,
                   static_cast<long>(endpoint.ntlm ? CURLAUTH_NTLM : CURLAUTH_BASIC));
  curl_easy_setopt(handle, CURLOPT_USERNAME, endpoint.user.c_str());
  curl_easy_setopt(handle, CURLOPT_PASSWORD, endpoint.password.c_str());
  curl_easy_setopt(handle, CURLOPT_PROXY, winrm_proxy(endpoint, env).c_str());
  curl_easy_setopt(handle, CURLOPT_NOPROXY, endpoint.no_proxy ? "*" : no_proxy.c_str());
  if (endpoint.insecure) {
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail.data());
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &collect_body);
}

long WinrmClient::Transport::post(const std::string& request, std::string& body, const Deadline& deadline,
                                  const Stop& stop) {
  body.clear();
  detail[0] = 0;
  curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.size()));
  curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDS, request.c_str());
  CURLcode code = loop.run(easy.get(), deadline, stop);
  if (code != CURLE_OK) {
    throw Error(ErrorKind::remote, detail[0] != 0 ? detail.data() : curl_easy_strerror(code));
  }
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  return status;
}

WinrmClient::WinrmClient(WinrmEndpoint endpoint)
    : endpoint_(std::move(endpoint)),
      url_(fmt::format("{}://{}:{}/wsman", endpoint_.https ? "https" : "http", url_host(endpoint_.host),
                       endpoint_.port)) {}

WinrmClient::~WinrmClient() = default;

void WinrmClient::disconnect() { transport_.reset(); }

WinrmHeader WinrmClient::header(const std::string& shell) const {
  return {url_, random_uuid(), shell, std::chrono::duration_cast<std::chrono::seconds>(operation_time)};
}

WinrmAnswer WinrmClient::call(const WinrmHeader& header, const std::string& request, const Deadline& deadline,
                              const Stop& stop) {
  if (!transport_) transport_ = std::make_unique<Transport>(endpoint_, url_);
  std::string body;
  long status = 0;
  try {
    status = transport_->post(request, body, deadline.at_most(header.operation_timeout + network_time), stop);
  } catch (const Error& error) {
    transport_.reset();
    if (error.kind() != ErrorKind::timeout || deadline.passed()) throw;
    throw Error(ErrorKind::remote, "the machine no longer answers");
  }
  if (status == 401) {
    throw Error(ErrorKind::remote, fmt::format("http error 401: the machine refuses the {} log-in of {}",
                                               endpoint_.ntlm ? "NTLM" : "basic", endpoint_.user));
  }
  if (body.empty() || (status != 200 && !contains(body, "Envelope"))) {
    throw Error(ErrorKind::remote, fmt::format("http error {}: {}", status, trim(body.substr(0, 300))));
  }
  return parse_winrm_answer(body);
}

WinrmAnswer WinrmClient::demand(const WinrmHeader& header, const std::string& request,
                                const Deadline& deadline, const Stop& stop) {
  WinrmAnswer answer = call(header, request, deadline, stop);
  if (!answer.fault) return answer;
  std::string code = answer.fault->code.empty() ? "" : fmt::format(" (WSMan {})", answer.fault->code);
  throw Error(ErrorKind::remote, answer.fault->text + code);
}

std::string WinrmClient::create_shell(const Deadline& deadline, const Stop& stop) {
  WinrmHeader head = header("");
  std::string id = demand(head, winrm_create_shell(head), deadline, stop).shell_id;
  if (id.empty()) throw Error(ErrorKind::remote, "the WinRM service made a shell and did not name it");
  return id;
}

std::string WinrmClient::start(const std::string& shell, std::string_view command, bool takes_input,
                               const Deadline& deadline, const Stop& stop) {
  WinrmHeader head = header(shell);
  std::string id = demand(head, winrm_command(head, command, takes_input), deadline, stop).command_id;
  if (id.empty()) throw Error(ErrorKind::remote, "the WinRM service ran a command and did not name it");
  return id;
}

void WinrmClient::send(const std::string& shell, const std::string& command, std::string_view bytes, bool end,
                       const Deadline& deadline, const Stop& stop) {
  WinrmHeader head = header(shell);
  demand(head, winrm_send(head, command, bytes, end), deadline, stop);
}

WinrmAnswer WinrmClient::receive(const std::string& shell, const std::string& command,
                                 const Deadline& deadline, const Stop& stop) {
  WinrmHeader head = header(shell);
  head.operation_timeout = std::chrono::duration_cast<std::chrono::seconds>(silence_time);
  WinrmAnswer answer = call(head, winrm_receive(head, command), deadline, stop);
  if (!answer.fault) return answer;
  if (answer.fault->code == winrm_operation_timed_out) return {};
  throw Error(ErrorKind::remote, answer.fault->text);
}

void WinrmClient::terminate(const std::string& shell, const std::string& command, const Deadline& deadline,
                            const Stop& stop) {
  WinrmHeader head = header(shell);
  demand(head, winrm_terminate(head, command), deadline, stop);
}

void WinrmClient::delete_shell(const std::string& shell, const Deadline& deadline, const Stop& stop) {
  WinrmHeader head = header(shell);
  demand(head, winrm_delete_shell(head), deadline, stop);
}

}  // namespace kiln
