#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>

#include "base/file.h"
#include "base/text.h"
#include "kit/http_directory.h"

namespace kiln {

namespace {

HttpAnswer text_answer(int status, std::string reason, std::string text) {
  HttpAnswer answer{.status = status, .reason = std::move(reason), .body = std::move(text)};
  answer.headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
  return answer;
}

HttpAnswer not_found() { return text_answer(404, "Not Found", "404 page not found\n"); }

std::optional<std::string> header_value(std::string_view head, std::string_view name) {
  std::string folded = lower(head);
  size_t at = folded.find("\r\n" + lower(name) + ":");
  if (at == std::string::npos) return std::nullopt;
  size_t begin = at + 3 + name.size();
  size_t end = head.find("\r\n", begin);
  return std::string(trim(head.substr(begin, end == std::string_view::npos ? end : end - begin)));
}

std::optional<std::string> decode_percent(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    int value = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
    if (error != std::errc() || end != text.data() + i + 3 || value == 0) return std::nullopt;
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string escape_path(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 contains("-_.~/$&+,;=@", std::string_view(&c, 1));
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

HttpAnswer listing(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    std::error_code ignored;
    names.push_back(entry.path().filename().string() + (entry.is_directory(ignored) ? "/" : ""));
  }
  if (error) return text_answer(500, "Internal Server Error", "Error reading directory\n");
  std::sort(names.begin(), names.end());
  HttpAnswer answer;
  answer.headers.emplace_back("Content-Type", "text/html; charset=utf-8");
  answer.body = "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n";
  for (const auto& name : names) {
    answer.body += fmt::format("<a href=\"{}\">{}</a>\n", escape_html(escape_path(name)), escape_html(name));
  }
  answer.body += "</pre>\n";
  return answer;
}

std::string http_date(time_t when) {
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  char text[64];
  return std::string(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts));
}

const char* content_type(const std::string& extension) {
  constexpr std::pair<std::string_view, const char*> types[] = {
      {".html", "text/html; charset=utf-8"}, {".htm", "text/html; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},   {".js", "text/javascript; charset=utf-8"},
      {".json", "application/json"},         {".xml", "text/xml; charset=utf-8"},
      {".png", "image/png"},                 {".jpg", "image/jpeg"},
      {".gz", "application/gzip"},           {".zip", "application/zip"},
      {".iso", "application/octet-stream"},  {".deb", "application/octet-stream"},
      {".tar", "application/x-tar"}};
  for (const auto& [suffix, type] : types) {
    if (extension == suffix) return type;
  }
  return "text/plain; charset=utf-8";
}

struct ByteRange {
  uint64_t first;
  uint64_t count;
};

/// "bytes=A-B", "bytes=A-", "bytes=-N" of a file of `size` bytes. nullopt: no single range is asked for;
/// a count of 0: it cannot be satisfied.
std::optional<ByteRange> parse_range(std::string_view text, uint64_t size) {
  if (!text.starts_with("bytes=")) return std::nullopt;
  text.remove_prefix(6);
  size_t dash = text.find('-');
  if (dash == std::string_view::npos || contains(text, ",")) return std::nullopt;
  auto number = [](std::string_view digits) -> std::optional<uint64_t> {
    uint64_t out = 0;
    digits = trim(digits);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return out;
  };
  auto first = number(text.substr(0, dash));
  auto last = number(text.substr(dash + 1));
  if (!first && !last) return std::nullopt;
  if (!first) {
    uint64_t count = std::min(*last, size);
    return ByteRange{size - count, count};
  }
  if (*first >= size || (last && *last < *first)) return ByteRange{0, 0};
  return ByteRange{*first, std::min(last.value_or(size - 1), size - 1) - *first + 1};
}

HttpAnswer file_answer(const fs::path& file, const struct stat& info, std::string_view head) {
  HttpAnswer answer;
  auto size = static_cast<uint64_t>(info.st_size);
  answer.file = file;
  answer.length = size;
  std::string modified = http_date(info.st_mtime);
  answer.headers.emplace_back("Accept-Ranges", "bytes");
  answer.headers.emplace_back("Last-Modified", modified);
  answer.headers.emplace_back("Content-Type", content_type(lower(file.extension().string())));
  if (header_value(head, "If-Modified-Since") == modified) {
    HttpAnswer unchanged{.status = 304, .reason = "Not Modified"};
    unchanged.headers.emplace_back("Last-Modified", modified);
    return unchanged;
  }
  auto wanted = header_value(head, "Range");
  if (!wanted) return answer;
  auto range = parse_range(*wanted, size);
  if (!range) return answer;
  if (range->count == 0) {
    HttpAnswer refusal = text_answer(416, "Requested Range Not Satisfiable", "invalid range: failed to overlap\n");
    refusal.headers.emplace_back("Content-Range", fmt::format("bytes */{}", size));
    return refusal;
  }
  answer.status = 206;
  answer.reason = "Partial Content";
  answer.offset = range->first;
  answer.length = range->count;
  answer.headers.emplace_back("Content-Range", fmt::format("bytes {}-{}/{}", range->first,
                                                           range->first + range->count - 1, size));
  return answer;
}

HttpAnswer redirect(std::string to) {
  HttpAnswer answer{.status = 301, .reason = "Moved Permanently"};
  answer.headers.emplace_back("Location", std::move(to));
  return answer;
}

HttpAnswer directory_answer(const HttpSite& site, const std::string& path, std::string_view head) {
  if (path.ends_with("/index.html")) return redirect("./");
  // No "..": what is outside the directory is nobody's business. Links inside it are the person's own.
  fs::path relative = fs::path(path).relative_path().lexically_normal();
  if (!relative.empty() && *relative.begin() == "..") return not_found();
  if (!relative.empty() && relative.filename().empty()) relative = relative.parent_path();
  fs::path target = site.directory / relative;
  struct stat info {};
  if (::stat(target.c_str(), &info) != 0) return not_found();
  std::string name = fs::path(path).filename().string();
  if (S_ISDIR(info.st_mode)) {
    if (!path.ends_with('/')) return redirect(escape_path(name) + "/");
    fs::path index = target / "index.html";
    if (::stat(index.c_str(), &info) == 0 && S_ISREG(info.st_mode)) return file_answer(index, info, head);
    return listing(target);
  }
  if (path.ends_with('/')) return redirect("../" + escape_path(fs::path(path).parent_path().filename().string()));
  if (!S_ISREG(info.st_mode)) return text_answer(403, "Forbidden", "403 Forbidden\n");
  return file_answer(target, info, head);
}

HttpAnswer content_answer(const HttpSite& site, const std::string& path) {
  auto found = site.content.find(path);
  if (found != site.content.end()) return text_answer(200, "OK", found->second);
  std::vector<std::string> paths;
  for (const auto& [known, text] : site.content) paths.push_back(known);
  std::string text = path + " not found.";
  if (auto nearest = nearest_name(path, paths)) text += " Did you mean " + go_quote(*nearest) + "?";
  return text_answer(404, "Not Found", text + "\n");
}

}  // namespace

HttpAnswer answer_http(const HttpSite& site, std::string_view request_head) {
  std::string_view line = request_head.substr(0, request_head.find("\r\n"));
  auto words = split(line, ' ');
  if (words.size() != 3 || !words[2].starts_with("HTTP/1."))
    return text_answer(400, "Bad Request", "400 Bad Request\n");
  if (words[0] != "GET" && words[0] != "HEAD") {
    HttpAnswer answer = text_answer(405, "Method Not Allowed", "405 method not allowed\n");
    answer.headers.emplace_back("Allow", "GET, HEAD");
    return answer;
  }
  std::string target = words[1];
  if (target.starts_with("http://")) target.erase(0, std::min(target.find('/', 7), target.size()));
  target = target.substr(0, target.find_first_of("?#"));
  auto path = decode_percent(target);
  if (!path) return text_answer(400, "Bad Request", "400 Bad Request\n");
  if (!path->starts_with('/')) path = "/" + *path;
  return site.directory.empty() ? content_answer(site, *path) : directory_answer(site, *path, request_head);
}

}  // namespace kiln
