#include "kit/download.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/checksum.h"
#include "kit/http_fetch.h"
#include "kit/unpack.h"

namespace kiln {

namespace {

constexpr int download_tries = 6;

/// A source split into what is asked for and what is meant for us (?archive=false, ?checksum=...).
struct Source {
  std::string text;  ///< as written
  bool local = false;
  fs::path path;    ///< of a local one
  std::string url;  ///< of a remote one, without our parameters
  bool unpack = false;
  std::string checksum;  ///< of ?checksum=, or empty
};

std::string percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && std::isxdigit(static_cast<unsigned char>(text[i + 1])) &&
        std::isxdigit(static_cast<unsigned char>(text[i + 2]))) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Source parse_source(const std::string& text) {
  Source source;
  source.text = text;
  std::string rest = text;
  std::vector<std::string> kept;
  bool archive = true;
  bool is_file_url = text.starts_with("file://");
  source.local = is_file_url || text.find("://") == std::string::npos;
  auto question = text.find('?');
  if (question != std::string::npos && !(source.local && fs::exists(text))) {
    rest = text.substr(0, question);
    for (const auto& parameter : split(std::string_view(text).substr(question + 1), '&')) {
      if (parameter.starts_with("archive="))
        archive = parameter != "archive=false";
      else if (parameter.starts_with("checksum="))
        source.checksum = percent_decode(parameter.substr(9));
      else
        kept.push_back(parameter);
    }
  }
  source.unpack = archive && is_unpackable_name(rest);
  if (source.local)
    source.path = is_file_url ? percent_decode(rest.substr(7)) : rest;
  else
    source.url = rest + (kept.empty() ? "" : "?" + join(kept, "&"));
  return source;
}

/// The URL as Packer shows it: the checksum among the parameters, which are sorted.
std::string with_checksum(const std::string& url, const Checksum& checksum) {
  auto question = url.find('?');
  std::vector<std::string> parameters;
  if (question != std::string::npos) parameters = split(std::string_view(url).substr(question + 1), '&');
  parameters.push_back("checksum=" + checksum.type + "%3A" + checksum.hex);
  std::stable_sort(parameters.begin(), parameters.end(), [](const std::string& a, const std::string& b) {
    return a.substr(0, a.find('=')) < b.substr(0, b.find('='));
  });
  return url.substr(0, question) + "?" + join(parameters, "&");
}

std::string base_name(const std::string& url) {
  std::string path = url.substr(0, url.find_first_of("?#"));
  return path.substr(path.rfind('/') + 1);
}

ProgressFn progress_to(StageContext& context, const std::string& what) {
  auto last = std::make_shared<Clock::time_point>();
  return [&context, what, last](uint64_t done, uint64_t total) {
    auto now = Clock::now();
    if (done != total && now - *last < Millis(100)) return;
    *last = now;
    context.ui.progress(what, done, total);
  };
}

/// Takes the lock file beside the target; other builds (and programs) that fetch the same file are waited
/// for.
FileLock wait_for_lock(const fs::path& target, StageContext& context) {
  fs::path path = target.string() + ".lock";
  while (true) {
    if (auto lock = FileLock::try_lock(path)) return std::move(*lock);
    sleep_for(Millis(50), context.stop);
  }
}

bool has_checksum(const fs::path& path, const Checksum& checksum) {
  return file_digest_hex(checksum.type, path) == checksum.hex;
}

/// Without a checksum a cached file is good while the server shows the same size and nothing newer.
bool is_current(const Source& source, const fs::path& target, const Stop& stop) {
  struct stat status {};
  if (::stat(target.c_str(), &status) != 0 || status.st_size == 0) return false;
  FetchRequest request;
  request.url = source.url;
  request.head = true;
  auto result = http_fetch(
      request, [](bool) {}, [](std::string_view) {}, stop);
  if (!result.ok() || result.modified < 0) return false;
  return result.length == static_cast<uint64_t>(status.st_size) && result.modified <= status.st_mtime;
}

/// Fetches into `part`, going on where an attempt broke off. `trust_part`: what is there was left by an
/// earlier run and will be verified.
void fetch_to(const Source& source, const fs::path& part, bool trust_part, StageContext& context) {
  Fd file(::open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (trust_part ? 0 : O_TRUNC), 0644));
  if (!file.is_open()) throw_errno("open " + part.string());
  FetchRequest request;
  request.url = source.url;
  request.progress = progress_to(context, base_name(source.url));
  for (int attempt = 1;; ++attempt) {
    request.resume_from = static_cast<uint64_t>(::lseek(file.get(), 0, SEEK_END));
    auto start = [&](bool resumed) {
      if (resumed) return;
      if (::ftruncate(file.get(), 0) != 0) throw_errno("truncate " + part.string());
      ::lseek(file.get(), 0, SEEK_SET);
    };
    auto result = http_fetch(
        request, start, [&](std::string_view bytes) { write_all(file.get(), bytes); }, context.stop);
    if (result.ok()) return;
    if (result.status == 416 && request.resume_from > 0) {  // it was whole already, or is another file now
      if (::ftruncate(file.get(), 0) != 0) throw_errno("truncate " + part.string());
      if (attempt < download_tries) continue;
    }
    uint64_t have = static_cast<uint64_t>(::lseek(file.get(), 0, SEEK_END));
    bool can_go_on = result.retryable || (have > 0 && result.status < 400);
    if (!can_go_on || attempt >= download_tries) throw Error(ErrorKind::remote, result.error);
    context.log.line(
        fmt::format("download {}: {}; trying again from byte {}", source.url, result.error, have));
    request.if_range = result.etag.starts_with("W/") ? "" : result.etag;
    sleep_for(Millis(250) * (1 << std::min(attempt, 5)), context.stop);
  }
}

void verify_or_remove(const Checksum& checksum, const fs::path& part, const fs::path& target,
                      StageContext& context) {
  std::string got = file_digest_hex(checksum.type, part);
  if (got == checksum.hex) return;
  context.ui.say("Checksum did not match, removing " + target.string());
  fs::remove(part);
  throw Error(ErrorKind::remote,
              fmt::format("Checksums did not match for {}.\nExpected: {}\nGot: {}\n*{}.digest",
                          target.string(), checksum.hex, got, checksum.type));
}

void publish(const fs::path& part, const fs::path& target, bool verified) {
  if (!verified) {  // nothing would notice later that a crash tore it
    Fd file(::open(part.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.is_open()) ::fsync(file.get());
  }
  fs::rename(part, target);
}

/// Unpacks next to the target; a note beside it remembers of what it was made.
void unpack_to(const fs::path& packed, const std::string& name, const fs::path& target,
               const std::optional<Checksum>& checksum, StageContext& context) {
  fs::path part = target.string() + ".unpack";
  unpack_single_file(packed, name, part, progress_to(context, name), context.stop);
  fs::path note = target.string() + ".from";
  std::error_code ignored;
  fs::remove(note, ignored);
  publish(part, target, false);
  if (checksum) write_file_atomically(note, checksum->text());
}

bool is_unpacked_from(const fs::path& target, const Checksum& checksum) {
  return fs::exists(target) && read_file_if_exists(target.string() + ".from") == checksum.text();
}

fs::path use_local(const Source& source, const std::optional<Checksum>& checksum, const fs::path& target,
                   StageContext& context) {
  fs::path path = fs::absolute(source.path).lexically_normal();
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw Error(ErrorKind::user,
                fmt::format("source path error: stat {}: no such file or directory", path.string()));
  }
  if (fs::is_directory(path))
    throw Error(ErrorKind::user, fmt::format("source path must be a file: {}", path.string()));
  if (!source.unpack) {
    if (checksum) verify_checksum(*checksum, path);
    return path;
  }
  FileLock lock = wait_for_lock(target, context);
  if (checksum && is_unpacked_from(target, *checksum)) return target;
  if (checksum) verify_checksum(*checksum, path);
  unpack_to(path, path.filename().string(), target, checksum, context);
  return target;
}

fs::path use_remote(const Source& source, const std::optional<Checksum>& checksum, const fs::path& target,
                    StageContext& context) {
  static constexpr std::string_view schemes[] = {"http://", "https://", "ftp://", "ftps://"};
  if (std::none_of(std::begin(schemes), std::end(schemes),
                   [&](auto scheme) { return source.url.starts_with(scheme); })) {
    throw Error(ErrorKind::user, fmt::format("error downloading '{}'", source.text));
  }
  FileLock lock = wait_for_lock(target, context);
  if (fs::exists(target)) {
    if (source.unpack ? checksum && is_unpacked_from(target, *checksum)
        : checksum    ? has_checksum(target, *checksum)
                      : is_current(source, target, context.stop)) {
      return target;
    }
  }
  fs::path part = target.string() + ".part";
  bool went_on = checksum && fs::exists(part);
  fetch_to(source, part, checksum.has_value(), context);
  if (went_on && !has_checksum(part, *checksum)) {  // what an earlier run left was of another file
    fs::remove(part);
    fetch_to(source, part, false, context);
  }
  if (checksum) verify_or_remove(*checksum, part, target, context);
  if (source.unpack) {
    unpack_to(part, base_name(source.url), target, checksum, context);
    fs::remove(part);
  } else {
    publish(part, target, checksum.has_value());
  }
  return target;
}

std::optional<Checksum> checksum_of(const DownloadRequest& request, const Source& source, const Stop& stop) {
  if (request.checksum.empty() || request.checksum == "none") {
    if (source.checksum.empty()) return std::nullopt;
    return resolve_checksum(source.checksum, source.text, stop);
  }
  return resolve_checksum(request.checksum, source.text, stop);
}

fs::path fetch_one(const DownloadRequest& request, const std::string& url, StageContext& context) {
  Source source = parse_source(url);
  auto checksum = checksum_of(request, source, context.stop);
  std::string shown = checksum ? with_checksum(url, *checksum) : url;
  context.ui.say("Trying " + shown);
  fs::path target = request.target_path;
  if (target.empty()) {
    target = context.build.cache_directory /
             cache_file_name(url, checksum ? checksum->text() : "", request.target_extension);
  }
  target = fs::absolute(target).lexically_normal();
  fs::create_directories(target.parent_path());
  fs::path path = source.local ? use_local(source, checksum, target, context)
                               : use_remote(source, checksum, target, context);
  context.ui.say(fmt::format("{} => {}", shown, path.string()));
  return path;
}

}  // namespace

std::string cache_file_name(const std::string& url, const std::string& resolved_checksum,
                            const std::string& extension) {
  std::string name = digest_hex("sha1", resolved_checksum.empty() ? url : resolved_checksum);
  return extension.empty() ? name : name + "." + extension;
}

fs::path download(const DownloadRequest& request, StageContext& context) {
  context.ui.say("Retrieving " + request.description);
  std::vector<std::string> errors;
  ErrorKind kind = ErrorKind::user;
  for (const auto& url : request.urls) {
    context.stop.check();
    context.ui.say("Trying " + url);
    try {
      return fetch_one(request, url, context);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::cancelled) throw;
      kind = error.kind();
      errors.push_back(error.message());
    } catch (const fs::filesystem_error& error) {
      kind = ErrorKind::environment;
      errors.push_back(error.what());
    }
    if (!errors.back().starts_with("Checksums did not match"))
      context.ui.say("Download failed " + errors.back());
  }
  std::string text = fmt::format("error downloading {}: [{}]", request.description, join(errors, " "));
  context.ui.error(text);
  throw Error(kind, text);
}

}  // namespace kiln
