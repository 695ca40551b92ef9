#include "kit/checksum.h"

#include <fmt/format.h>

#include <regex>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/http_fetch.h"

namespace kiln {

namespace {

constexpr size_t sum_file_limit = 16 << 20;

/// Go's encoding/hex error for `text`, or nullopt if it is hex.
std::optional<std::string> hex_error(std::string_view text) {
  for (unsigned char c : text) {
    if (!std::isxdigit(c))
      return fmt::format("encoding/hex: invalid byte: U+{:04X} '{}'", c, static_cast<char>(c));
  }
  if (text.size() % 2 != 0) return "encoding/hex: odd length hex string";
  return std::nullopt;
}

bool is_hex(std::string_view text) { return !text.empty() && !hex_error(text); }

std::string type_of_length(size_t hex_length) {
  switch (hex_length) {
    case 32:
      return "md5";
    case 40:
      return "sha1";
    case 56:
      return "sha224";
    case 64:
      return "sha256";
    case 96:
      return "sha384";
    case 128:
      return "sha512";
    default:
      return "";
  }
}

Error invalid(const std::string& what, const std::string& text) {
  return Error(ErrorKind::user, fmt::format("invalid checksum: {} in {}", what, go_quote(text)));
}

std::string without_query(const std::string& source) {
  if (source.find("://") == std::string::npos) return source;
  return source.substr(0, source.find_first_of("?#"));
}

/// Whether a name in a sum file means the source: its base name, or a path that the source ends with.
bool names_source(std::string name, const std::string& source) {
  if (name.starts_with('*') || name.starts_with('?')) name.erase(0, 1);
  if (name.starts_with("./")) name.erase(0, 2);
  if (name.empty()) return false;
  return source == name || source.ends_with("/" + name);
}

bool is_local_source(const std::string& source) {
  return source.find("://") == std::string::npos || source.starts_with("file://");
}

std::string read_sum_file(const std::string& where, const Stop& stop) {
  if (is_local_source(where)) {
    fs::path path = where.starts_with("file://") ? where.substr(7) : where;
    std::error_code error;
    if (!fs::exists(path, error)) {
      throw Error(ErrorKind::user, fmt::format("source path error: stat {}: no such file or directory",
                                               fs::absolute(path).lexically_normal().string()));
    }
    return read_file(path);
  }
  std::string text;
  FetchRequest request;
  request.url = where;
  auto result = http_fetch(
      request, [&](bool) { text.clear(); },
      [&](std::string_view bytes) {
        text += bytes;
        if (text.size() > sum_file_limit) throw Error(ErrorKind::remote, "the checksum file is over 16 MiB");
      },
      stop);
  if (!result.ok()) throw Error(ErrorKind::remote, result.error);
  return text;
}

}  // namespace

ChecksumSpec parse_checksum_spec(const std::string& text) {
  ChecksumSpec spec;
  if (text == "none") return spec;
  if (text.starts_with("file:")) {
    spec.kind = ChecksumSpec::Kind::file;
    spec.file = text.substr(5);
    return spec;
  }
  spec.kind = ChecksumSpec::Kind::value;
  auto colon = text.find(':');
  std::string hex = colon == std::string::npos ? text : text.substr(colon + 1);
  if (colon != std::string::npos) {
    spec.checksum.type = lower(text.substr(0, colon));
    const auto& type = spec.checksum.type;
    if (type != "md5" && type != "sha1" && type != "sha256" && type != "sha512") {
      throw invalid("unsupported checksum type: " + type, text);
    }
  }
  if (auto error = hex_error(hex)) throw invalid(*error, text);
  if (colon == std::string::npos) {
    spec.checksum.type = type_of_length(hex.size());
    if (spec.checksum.type.empty() || hex.size() == 56 || hex.size() == 96) {
      throw invalid("Unknown type for checksum " + hex, text);
    }
  }
  spec.checksum.hex = lower(hex);
  return spec;
}

std::optional<Checksum> find_in_sum_file(std::string_view text, const std::string& source,
                                         const std::string&) {
  static const std::regex bsd(R"(^\s*([A-Za-z0-9-]+)\s*\((.+)\)\s*=\s*([0-9A-Fa-f]+)\s*$)");
  std::string wanted = without_query(source);
  for (const auto& raw : split(text, '\n')) {
    std::string line(trim(raw));
    if (line.empty() || line.starts_with('#')) continue;
    std::smatch match;
    if (std::regex_match(line, match, bsd)) {
      std::string type = replace_all(lower(match[1].str()), "-", "");
      if (is_digest_name(type) && names_source(match[2].str(), wanted))
        return Checksum{type, lower(match[3].str())};
      continue;
    }
    auto space = line.find_first_of(" \t");
    std::string hex = line.substr(0, space);
    std::string type = is_hex(hex) ? type_of_length(hex.size()) : "";
    if (type.empty()) continue;
    if (space == std::string::npos || names_source(std::string(trim(line.substr(space))), wanted)) {
      return Checksum{type, lower(hex)};
    }
  }
  return std::nullopt;
}

std::optional<Checksum> resolve_checksum(const std::string& text, const std::string& source,
                                         const Stop& stop) {
  ChecksumSpec spec = parse_checksum_spec(text);
  if (spec.kind == ChecksumSpec::Kind::none) return std::nullopt;
  if (spec.kind == ChecksumSpec::Kind::value) return spec.checksum;
  std::string content;
  try {
    content = read_sum_file(spec.file, stop);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    throw Error(error.kind(), fmt::format("invalid checksum: Error downloading checksum file: {} in {}",
                                          error.message(), go_quote(text)));
  }
  auto found = find_in_sum_file(content, source, spec.file);
  if (!found) throw invalid("no checksum found in: " + spec.file, text);
  return found;
}

void verify_checksum(const Checksum& checksum, const std::filesystem::path& path) {
  std::string got = file_digest_hex(checksum.type, path);
  if (got == checksum.hex) return;
  throw Error(ErrorKind::remote,
              fmt::format("Checksums did not match for {}.\nExpected: {}\nGot: {}\n*{}.digest", path.string(),
                          checksum.hex, got, checksum.type));
}

}  // namespace kiln
