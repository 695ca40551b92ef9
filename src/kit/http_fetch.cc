#include "kit/http_fetch.h"

#include <fmt/format.h>

#include <cstring>
#include <exception>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "wire/curl_loop.h"
#include "wire/lazy_curl.h"

namespace kiln {

namespace {

constexpr long connect_timeout_s = 30;
constexpr long stall_timeout_s = 60;

/// What libcurl's callbacks write into.
struct Transfer {
  const FetchRequest* request = nullptr;
  const BodyStart* start = nullptr;
  const Sink* body = nullptr;
  CURL* easy = nullptr;
  FetchResult result;
  bool started = false;
  std::exception_ptr thrown;
};

/// "content-type" as Go's http.Header has it: "Content-Type".
std::string canonical_header_name(std::string_view name) {
  std::string out = lower(name);
  bool first = true;
  for (char& c : out) {
    if (first && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    first = c == '-';
  }
  return out;
}

void note_header(std::string_view line, std::map<std::string, std::string>& headers) {
  size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string& value = headers[canonical_header_name(trim(line.substr(0, colon)))];
  value += (value.empty() ? "" : ", ") + std::string(trim(line.substr(colon + 1)));
}

size_t on_header(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {
    transfer.result.etag.clear();
    transfer.result.headers.clear();
  }
  note_header(line, transfer.result.headers);
  if (lower(line.substr(0, 5)) == "etag:") transfer.result.etag = std::string(trim(line.substr(5)));
  return size;
}

size_t on_body(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  try {
    if (!transfer.started) {
      transfer.started = true;
      long status = 0;
      curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
      bool http = transfer.request->url.starts_with("http");
      transfer.result.resumed = transfer.request->resume_from > 0 && (!http || status == 206);
      (*transfer.start)(transfer.result.resumed);
    }
    (*transfer.body)(std::string_view(data, size));
    return size;
  } catch (...) {
    transfer.thrown = std::current_exception();
    return 0;
  }
}

int on_progress(void* user, curl_off_t total, curl_off_t now, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (!transfer.started || !transfer.request->progress) return 0;
  uint64_t before = transfer.result.resumed ? transfer.request->resume_from : 0;
  transfer.request->progress(before + now, total > 0 ? before + total : 0);
  return 0;
}

using HeaderList = std::unique_ptr<curl_slist, CallToDelete<curl_slist_free_all>>;

HeaderList request_headers(const FetchRequest& request) {
  HeaderList list;
  auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    if (longer) (void)list.release(), list.reset(longer);
  };
  for (const auto& [name, value] : request.headers) add(fmt::format("{}: {}", name, value));
  if (request.resume_from > 0 && !request.if_range.empty()) add("If-Range: " + request.if_range);
  return list;
}

void set_up_easy(CURL* easy, Transfer& transfer) {
  const FetchRequest& request = *transfer.request;
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https,ftp,ftps");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https,ftp,ftps");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L);
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_OPTIONAL));
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "kiln/" KILN_VERSION);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, connect_timeout_s);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, stall_timeout_s);
  curl_easy_setopt(easy, CURLOPT_FILETIME, 1L);
  curl_easy_setopt(easy, CURLOPT_FAILONERROR, request.any_status ? 0L : 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
  if (!request.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  if (!request.method.empty()) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.head) curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, &on_progress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &transfer);
}

/// What libcurl has copies of.
void set_up_place(CURL* easy, const FetchRequest& request) {
  auto set = [easy](CURLoption option, const std::string& value) {
    if (!value.empty()) curl_easy_setopt(easy, option, value.c_str());
  };
  set(CURLOPT_CAINFO, request.tls.ca_file);
  set(CURLOPT_CAPATH, request.tls.ca_path);
  set(CURLOPT_SSLCERT, request.tls.certificate);
  set(CURLOPT_SSLKEY, request.tls.key);
  set(CURLOPT_UNIX_SOCKET_PATH, request.unix_socket);
  if (request.tls.insecure) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

std::string host_of(const std::string& url) {
  auto begin = url.find("://");
  std::string host = begin == std::string::npos ? url : url.substr(begin + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  if (auto at = host.rfind('@'); at != std::string::npos) host = host.substr(at + 1);
  return host;
}

std::string describe_failure(CURLcode code, CURL* easy, const FetchRequest& request, const char* detail) {
  std::string prefix = fmt::format("{} {}: ", request.head ? "Head" : "Get", go_quote(request.url));
  std::string host = host_of(request.url);
  switch (code) {
    case CURLE_COULDNT_CONNECT: {
      long error = 0;
      curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
      if (host.find(':') == std::string::npos) host += request.url.starts_with("https") ? ":443" : ":80";
      return prefix + fmt::format("dial tcp {}: connect: {}", host,
                                  error != 0 ? go_errno_text(static_cast<int>(error)) : detail);
    }
    case CURLE_COULDNT_RESOLVE_HOST:
      return prefix + fmt::format("dial tcp: lookup {}: no such host", host.substr(0, host.find(':')));
    case CURLE_OPERATION_TIMEDOUT:
      return prefix + fmt::format("no data for {} seconds or no connection in {}: {}", stall_timeout_s,
                                  connect_timeout_s, detail);
    default:
      return prefix + (detail[0] != 0 ? detail : curl_easy_strerror(code));
  }
}

bool is_retryable(CURLcode code, long status) {
  if (code == CURLE_HTTP_RETURNED_ERROR) return status == 408 || status == 429 || status >= 500;
  return code == CURLE_OPERATION_TIMEDOUT || code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR ||
         code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING || code == CURLE_HTTP2 ||
         code == CURLE_HTTP2_STREAM;
}

void read_result(CURLcode code, CURL* easy, Transfer& transfer, const char* detail) {
  FetchResult& result = transfer.result;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &result.status);
  curl_off_t number = -1;
  if (curl_easy_getinfo(easy, CURLINFO_FILETIME_T, &number) == CURLE_OK) result.modified = number;
  number = -1;
  curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &number);
  if (number > 0) result.length = number + (result.resumed ? transfer.request->resume_from : 0);
  if (code == CURLE_OK) return;
  result.retryable = is_retryable(code, result.status);
  result.error = code == CURLE_HTTP_RETURNED_ERROR ? fmt::format("bad response code: {}", result.status)
                                                   : describe_failure(code, easy, *transfer.request, detail);
}

}  // namespace

FetchResult http_fetch(const FetchRequest& request, const BodyStart& start, const Sink& body,
                       const Stop& stop) {
  CurlLoop loop;
  Transfer transfer;
  transfer.request = &request;
  transfer.start = &start;
  transfer.body = &body;
  std::unique_ptr<CURL, CallToDelete<curl_easy_cleanup>> easy(curl_easy_init());
  if (!easy) throw Error(ErrorKind::internal, "libcurl could not be initialized");
  transfer.easy = easy.get();
  set_up_easy(easy.get(), transfer);
  set_up_place(easy.get(), request);
  // A range, not libcurl's "resume": a server that sends the whole file instead is no error.
  std::string range = std::to_string(request.resume_from) + "-";
  if (request.resume_from > 0) curl_easy_setopt(easy.get(), CURLOPT_RANGE, range.c_str());
  std::array<char, CURL_ERROR_SIZE> detail{};
  curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, detail.data());
  auto headers = request_headers(request);
  if (headers) curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
  CURLcode code = loop.run(easy.get(), Deadline::never(), stop);
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  read_result(code, easy.get(), transfer, detail.data());
  // A server that refuses a range because we have it all already: nothing is missing.
  if (!transfer.started && transfer.result.ok() && !request.head) start(false);
  return transfer.result;
}

}  // namespace kiln
