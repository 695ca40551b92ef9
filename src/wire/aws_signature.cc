#include "wire/aws_signature.h"

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/lazy_crypto.h"
#include "base/text.h"

namespace kiln {

namespace {

bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string hmac_sha256(std::string_view key, std::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  KILN_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                  reinterpret_cast<const unsigned char*>(text.data()), text.size(), out, &size) != nullptr);
  return {reinterpret_cast<char*>(out), size};
}

/// "/a/./b//../c" is "/a/c"; a slash at the end stays.
std::string normalized_path(std::string_view path) {
  std::vector<std::string> kept;
  std::string last;
  for (auto& part : split(path, '/')) {
    last = part;
    if (part == ".." && !kept.empty()) kept.pop_back();
    if (!part.empty() && part != "." && part != "..") kept.push_back(std::move(part));
  }
  bool directory = last.empty() || last == "." || last == "..";
  std::string out = "/" + join(kept, "/");
  if (directory && !kept.empty()) out += '/';
  return out;
}

std::string canonical_query(std::string_view query) {
  if (query.empty()) return "";
  std::vector<std::pair<std::string, std::string>> sorted;
  for (const auto& pair : split(query, '&')) {
    if (pair.empty()) continue;
    size_t equals = pair.find('=');
    std::string name = pair.substr(0, equals);
    std::string value = equals == std::string::npos ? "" : pair.substr(equals + 1);
    sorted.emplace_back(aws_uri_encode(aws_uri_decode(name)), aws_uri_encode(aws_uri_decode(value)));
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> pairs;
  for (const auto& [name, value] : sorted) pairs.push_back(name + "=" + value);
  return join(pairs, "&");
}

/// Blanks at the ends taken off, those within made one.
std::string canonical_value(std::string_view value) {
  std::string out;
  for (char c : trim(value)) {
    bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!blank) {
      out += c;
    } else if (!out.ends_with(' ')) {
      out += ' ';
    }
  }
  return out;
}

}  // namespace

std::string aws_uri_encode(std::string_view text, bool slashes) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    if (is_unreserved(c) || (slashes && c == '/')) {
      out += c;
    } else {
      auto byte = static_cast<unsigned char>(c);
      out += {'%', digits[byte >> 4U], digits[byte & 15U]};
    }
  }
  return out;
}

std::string aws_uri_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    int high = text[i] == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string aws_canonical_request(const AwsRequest& request, const std::vector<std::string>& signed_headers) {
  std::string path = request.path.empty() ? "/" : request.path;
  if (request.normalize_path) path = normalized_path(path);
  std::string out = request.method + "\n" + aws_uri_encode(path, true) + "\n" + canonical_query(request.query) + "\n";
  for (const auto& name : signed_headers) {
    std::vector<std::string> values;
    for (const auto& [header, value] : request.headers) {
      if (lower(header) == name) values.push_back(canonical_value(value));
    }
    out += name + ":" + join(values, ",") + "\n";
  }
  return out + "\n" + join(signed_headers, ";") + "\n" + request.payload_sha256;
}

std::string aws_string_to_sign(std::string_view time, const AwsScope& scope, std::string_view canonical_request) {
  return std::string(aws_algorithm) + "\n" + std::string(time) + "\n" + scope.text() + "\n" +
         digest_hex("sha256", canonical_request);
}

std::string aws_signing_key(std::string_view secret_key, const AwsScope& scope) {
  std::string key = "AWS4" + std::string(secret_key);
  for (const std::string& part : {scope.date, scope.region, scope.service, std::string("aws4_request")}) {
    key = hmac_sha256(key, part);
  }
  return key;
}

std::string aws_signature(std::string_view signing_key, std::string_view string_to_sign) {
  return hex_encode(hmac_sha256(signing_key, string_to_sign));
}

HttpHeaders aws_signed_headers(const AwsRequest& request, const AwsKeys& keys, const AwsScope& scope,
                               const std::string& time) {
  AwsRequest dated = request;
  dated.headers.emplace_back("X-Amz-Date", time);
  if (!keys.session_token.empty()) dated.headers.emplace_back("X-Amz-Security-Token", keys.session_token);
  std::vector<std::string> names;
  for (const auto& [name, value] : dated.headers) names.push_back(lower(name));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::string signature = aws_signature(aws_signing_key(keys.secret_key, scope),
                                        aws_string_to_sign(time, scope, aws_canonical_request(dated, names)));
  dated.headers.emplace_back("Authorization", std::string(aws_algorithm) + " Credential=" + keys.access_key + "/" +
                                                  scope.text() + ", SignedHeaders=" + join(names, ";") +
                                                  ", Signature=" + signature);
  return dated.headers;
}

bool parse_aws_credential(std::string_view text, AwsAuthorization& out) {
  auto parts = split(text, '/');
  if (parts.size() < 5 || parts.back() != "aws4_request") return false;
  // An access key may have slashes in it; the rest may not.
  size_t rest = parts.size() - 4;
  out.access_key = join({parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(rest)}, "/");
  out.scope = {parts[rest], parts[rest + 1], parts[rest + 2]};
  return !out.access_key.empty() && !out.scope.date.empty() && !out.scope.region.empty() && !out.scope.service.empty();
}

std::optional<AwsAuthorization> parse_aws_authorization(std::string_view header) {
  header = trim(header);
  std::string_view algorithm = aws_algorithm;
  if (!header.starts_with(algorithm)) return std::nullopt;
  header.remove_prefix(algorithm.size());
  if (header.empty() || (header[0] != ' ' && header[0] != '\t')) return std::nullopt;
  AwsAuthorization out;
  bool credential = false;
  for (const auto& part : split(header, ',')) {
    std::string_view item = trim(part);
    size_t equals = item.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    std::string_view name = item.substr(0, equals);
    std::string_view value = item.substr(equals + 1);
    if (name == "Credential") credential = parse_aws_credential(value, out);
    if (name == "SignedHeaders") out.signed_headers = split(value, ';');
    if (name == "Signature") out.signature = value;
  }
  bool complete = credential && !out.signed_headers.empty() && !out.signed_headers[0].empty() && !out.signature.empty();
  return complete ? std::optional(std::move(out)) : std::nullopt;
}

std::string aws_checksum_sha256(std::string_view bytes) {
  std::string hex = digest_hex("sha256", bytes);
  std::string raw;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    raw += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return base64_encode(raw);
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned different = 0;
  for (size_t i = 0; i < a.size(); ++i)
    different |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return different == 0;
}

}  // namespace kiln
