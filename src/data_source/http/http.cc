#include "data_source/http/http.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "kit/http_fetch.h"
#include "lang/option.h"

namespace kiln {

namespace {

/// An answer that a template takes in as a string has no reason to be larger.
constexpr size_t largest_body = size_t{64} << 20;

struct HttpDataConfig {
  std::string url;
  std::string method = "GET";
  std::map<std::string, std::string> request_headers;
  std::string request_body;
};

const std::vector<std::string>& http_methods() {
  static const std::vector<std::string> methods{"HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
  return methods;
}

const OptionTable<HttpDataConfig>& http_data_options() {
  static const OptionTable<HttpDataConfig> table = [] {
    OptionTable<HttpDataConfig> made;
    made.add(&HttpDataConfig::url, {.name = "url", .doc = "What to ask for; http or https.", .required = true});
    made.add(&HttpDataConfig::method, {.name = "method",
                                       .default_text = "GET",
                                       .doc = "HEAD, GET, POST, PUT, DELETE, OPTIONS or PATCH."});
    made.add(&HttpDataConfig::request_headers,
             {.name = "request_headers", .doc = "Further header fields of the request."});
    made.add(&HttpDataConfig::request_body, {.name = "request_body", .doc = "The body of the request."});
    return made;
  }();
  return table;
}

/// Bodies of these kinds are text; of others Packer warns.
bool is_text(std::string_view content_type) {
  std::string_view kind = trim(content_type.substr(0, content_type.find(';')));
  return kind.starts_with("text/") || kind == "application/json" || kind == "application/samlmetadata+xml";
}

class HttpDataSource : public DataSource {
 public:
  Value read(const DataSourceInput& input) override {
    HttpDataConfig config;
    DecodeContext context{input.scope, input.diagnostics, "data http"};
    http_data_options().decode(input.config, config, context);
    check(config, input.diagnostics);
    if (input.only_check || input.diagnostics.has_errors()) return {};
    return answer(config, input);
  }

 private:
  static void check(const HttpDataConfig& config, Diagnostics& diagnostics) {
    if (config.url.empty()) diagnostics.error("the `url` must be specified");
    const auto& methods = http_methods();
    if (std::find(methods.begin(), methods.end(), config.method) == methods.end()) {
      diagnostics.error(fmt::format("the `method` must be one of [{}]", join(methods, " ")));
    }
  }

  static Value answer(const HttpDataConfig& config, const DataSourceInput& input) {
    FetchRequest request;
    request.url = config.url;
    request.head = config.method == "HEAD";
    request.method = config.method;
    request.headers = config.request_headers;
    request.body = config.request_body;
    std::string body;
    auto take = [&](std::string_view part) {
      if (body.size() + part.size() > largest_body) {
        throw Error(ErrorKind::remote, fmt::format("{} answers with more than {} MiB", config.url, largest_body >> 20));
      }
      body += part;
    };
    FetchResult result = http_fetch(request, [](bool) {}, take, input.stop);
    if (result.status != 0 && (result.status < 200 || result.status > 299)) {
      throw Error(ErrorKind::remote, fmt::format("HTTP request error. Response code: {}", result.status));
    }
    if (!result.ok()) throw Error(ErrorKind::remote, "Error making http request: " + result.error);
    auto kind = result.headers.find("Content-Type");
    if (kind == result.headers.end() || !is_text(kind->second)) {
      input.diagnostics.warning(
          "Content-Type is not recognized as a text type",
          fmt::format(
              "got {}. If the content is binary data, Packer may not properly handle the contents of the response.",
              go_quote(kind == result.headers.end() ? "" : kind->second)));
    }
    Value out = Value::empty_object();
    out.set("url", Value(config.url));
    out.set("body", Value(std::move(body)));
    out.set("request_headers", Value(result.headers));
    return out;
  }
};

}  // namespace

DataSourceEntry http_data_source() {
  DataSourceEntry entry;
  entry.type = "http";
  entry.summary = "The answer to an HTTP request.";
  entry.options = http_data_options;
  entry.make = [] { return std::make_unique<HttpDataSource>(); };
  entry.outputs = {
      {.name = "url", .type = "string", .doc = "The URL that was asked."},
      {.name = "body", .type = "string", .doc = "The body of the answer."},
      {.name = "request_headers", .type = "map(string)", .doc = "The header of the answer (Packer's name)."}};
  return entry;
}

}  // namespace kiln
