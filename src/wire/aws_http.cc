#include "wire/aws_http.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "wire/lazy_curl.h"

namespace kiln {

namespace {

/// DescribeImages without a filter answers with tens of megabytes.
constexpr size_t largest_answer = size_t{256} << 20;

bool is_one_of(const std::string& code, std::initializer_list<const char*> codes) {
  return std::any_of(codes.begin(), codes.end(), [&](const char* other) { return code == other; });
}

/// What libcurl's callbacks write into.
struct Receiver {
  AwsHttpReply reply;
  bool too_large = false;
};

size_t on_answer_body(char* data, size_t, size_t size, void* user) {
  auto& receiver = *static_cast<Receiver*>(user);
  receiver.too_large = receiver.reply.body.size() + size > largest_answer;
  if (receiver.too_large) return 0;
  receiver.reply.body.append(data, size);
  return size;
}

size_t on_answer_header(char* data, size_t, size_t size, void* user) {
  auto& headers = static_cast<Receiver*>(user)->reply.headers;
  std::string_view line(data, size);
  if (line.starts_with("HTTP/")) headers.clear();
  size_t colon = line.find(':');
  if (colon != std::string_view::npos)
    headers[lower(trim(line.substr(0, colon)))] = std::string(trim(line.substr(colon + 1)));
  return size;
}

using CurlHandle = std::unique_ptr<CURL, CallToDelete<curl_easy_cleanup>>;
using HeaderLines = std::unique_ptr<curl_slist, CallToDelete<curl_slist_free_all>>;

HeaderLines header_lines(const AwsHttpRequest& request) {
  HeaderLines lines;
  auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(lines.get(), line.c_str());
    if (longer == nullptr) throw Error(ErrorKind::internal, "libcurl is out of memory");
    (void)lines.release();
    lines.reset(longer);
  };
  for (const auto& [name, value] : request.headers) add(name + ": " + value);
  add("Expect:");  // no round trip to ask whether a body is welcome
  if (!request.headers.contains("content-type")) add("Content-Type:");  // libcurl would call any body a form
  return lines;
}

void set_up_call(CURL* easy, const AwsHttpRequest& request, Receiver& receiver) {
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);  // what was signed is what is sent
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "kiln/" KILN_VERSION);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_limit.count()));
  if (request.method == "POST" || !request.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.method == "HEAD") curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (request.insecure) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (auto bundle = get_env("AWS_CA_BUNDLE"); bundle && !bundle->empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, bundle->c_str());
  }
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &on_answer_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &receiver);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_answer_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &receiver);
}

}  // namespace

AwsError::AwsError(AwsFailure failure, std::string code, std::string message, long status)
    : Error(failure == AwsFailure::auth ? ErrorKind::user : ErrorKind::remote, std::move(message)),
      failure_(failure),
      code_(std::move(code)),
      status_(status) {}

AwsFailure classify_aws_error(const std::string& code, long status) {
  if (is_one_of(code, {"RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException",
                       "RequestThrottled", "RequestThrottledException", "TooManyRequestsException", "SlowDown",
                       "BandwidthLimitExceeded", "EC2ThrottledException", "PriorRequestNotComplete"}) ||
      status == 429) {
    return AwsFailure::throttled;
  }
  if (is_one_of(code,
                {"InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity",
                 "InsufficientCapacity", "InsufficientFreeAddressesInSubnet", "SpotMaxPriceTooLow",
                 "MaxSpotInstanceCountExceeded", "UnfulfillableCapacity", "Unsupported"})) {
    return AwsFailure::capacity;
  }
  if (is_one_of(code, {"AuthFailure", "UnauthorizedOperation", "AccessDenied", "AccessDeniedException",
                       "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException",
                       "RequestExpired", "UnrecognizedClientException", "MissingAuthenticationToken",
                       "IncompleteSignature", "InvalidAccessKeyId", "OptInRequired", "Blocked"})) {
    return AwsFailure::auth;
  }
  if (code.ends_with(".NotFound") || code.ends_with(".Unknown") ||
      is_one_of(code,
                {"NoSuchEntity", "ResourceNotFoundException", "ParameterNotFound", "NoSuchKey", "NoSuchBucket"})) {
    return AwsFailure::missing;
  }
  if (status >= 500 || is_one_of(code, {"InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable",
                                        "RequestTimeout", "RequestTimeoutException"})) {
    return AwsFailure::transient;
  }
  return AwsFailure::permanent;
}

AwsHttpReply AwsHttp::send(const AwsHttpRequest& request, const Deadline& deadline, const Stop& stop) {
  if (!loop_) loop_.emplace();
  CurlHandle easy(curl_easy_init());
  if (!easy) throw Error(ErrorKind::internal, "libcurl could not be initialized");
  Receiver receiver;
  std::array<char, CURL_ERROR_SIZE> detail{};
  curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, detail.data());
  set_up_call(easy.get(), request, receiver);
  HeaderLines lines = header_lines(request);
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, lines.get());
  CURLcode code = loop_->run(easy.get(), deadline, stop);
  if (receiver.too_large) throw Error(ErrorKind::remote, "the answer of " + request.url + " is too large");
  if (code != CURLE_OK) {
    throw AwsError(AwsFailure::transient, "RequestError",
                   fmt::format("RequestError: send request failed\ncaused by: {} {}: {}",
                               request.method == "POST" ? "Post" : "Get", go_quote(request.url),
                               detail[0] != 0 ? detail.data() : curl_easy_strerror(code)));
  }
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &receiver.reply.status);
  return std::move(receiver.reply);
}

}  // namespace kiln
