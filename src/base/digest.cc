#include "base/digest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/lazy_crypto.h"
#include "base/sparse.h"
#include "base/text.h"

namespace kiln {

struct Digest::Context {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(context); }
};

static constexpr std::pair<std::string_view, const EVP_MD* (*)()> digests[] = {
    {"md5", [] { return EVP_md5(); }},       {"sha1", [] { return EVP_sha1(); }},
    {"sha224", [] { return EVP_sha224(); }}, {"sha256", [] { return EVP_sha256(); }},
    {"sha384", [] { return EVP_sha384(); }}, {"sha512", [] { return EVP_sha512(); }},
};

static const auto* find_digest(std::string_view name) {
  auto found = std::find_if(std::begin(digests), std::end(digests),
                            [&](const auto& digest) { return digest.first == name; });
  return found == std::end(digests) ? nullptr : found;
}

Digest::Digest(std::string_view algorithm) {
  const auto* digest = find_digest(algorithm);
  if (!digest) throw Error(ErrorKind::user, "unknown digest: " + std::string(algorithm));
  context_ = std::make_unique<Context>();
  KILN_CHECK(EVP_DigestInit_ex(context_->context, digest->second(), nullptr) == 1);
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::update(std::string_view bytes) {
  KILN_CHECK(EVP_DigestUpdate(context_->context, bytes.data(), bytes.size()) == 1);
}

std::string Digest::hex() {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  KILN_CHECK(EVP_DigestFinal_ex(context_->context, out, &size) == 1);
  return hex_encode(std::string_view(reinterpret_cast<char*>(out), size));
}

bool is_digest_name(std::string_view algorithm) { return find_digest(algorithm) != nullptr; }

std::string digest_hex(std::string_view algorithm, std::string_view bytes) {
  Digest digest(algorithm);
  digest.update(bytes);
  return digest.hex();
}

namespace {

constexpr size_t digest_block = 1 << 20;

/// Feeds a digest, telling of progress now and then.
class DigestFeed {
 public:
  DigestFeed(std::string_view algorithm, int fd, const std::function<void(uint64_t)>& progress)
      : digest_(algorithm), fd_(fd), progress_(progress), block_(digest_block) {}
  void zeros(off_t until) {
    static const std::vector<char> nothing(digest_block);
    while (at_ < until) feed(nothing.data(), static_cast<size_t>(std::min<off_t>(digest_block, until - at_)));
  }
  /// False at the end of the file.
  bool block_of_file(off_t until) {
    auto size = static_cast<size_t>(std::min<off_t>(digest_block, until - at_));
    ssize_t got = ::pread(fd_, block_.data(), size, at_);
    if (got < 0 && errno == ESPIPE) got = ::read(fd_, block_.data(), size);
    if (got < 0 && errno == EINTR) return true;
    if (got < 0) throw_errno("read");
    feed(block_.data(), static_cast<size_t>(got));
    return got > 0;
  }
  off_t at() const { return at_; }
  std::string hex() { return digest_.hex(); }

 private:
  void feed(const char* bytes, size_t size) {
    digest_.update({bytes, size});
    at_ += static_cast<off_t>(size);
    if (progress_ && ++fed_ % 8 == 0) progress_(static_cast<uint64_t>(at_));
  }
  Digest digest_;
  int fd_;
  const std::function<void(uint64_t)>& progress_;
  std::vector<char> block_;
  off_t at_ = 0;
  uint64_t fed_ = 0;
};

}  // namespace

std::string file_digest_hex(std::string_view algorithm, int fd,
                            const std::function<void(uint64_t)>& progress) {
  DigestFeed feed(algorithm, fd, progress);
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_errno("read");
  const off_t size = S_ISREG(status.st_mode) ? status.st_size : 0;
  while (auto extent = next_extent(fd, feed.at(), size)) {
    feed.zeros(extent->begin);
    while (feed.at() < extent->end) {
      if (!feed.block_of_file(extent->end)) return feed.hex();  // it was cut meanwhile
    }
  }
  feed.zeros(size);
  while (feed.block_of_file(std::numeric_limits<off_t>::max())) {  // what has no size, as in /proc, or grows
  }
  return feed.hex();
}

std::string file_digest_hex(std::string_view algorithm, const std::filesystem::path& path,
                            const std::function<void(uint64_t)>& progress) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) throw_errno("open " + path.string());
  return during(path.string(), [&] { return file_digest_hex(algorithm, fd.get(), progress); });
}

}  // namespace kiln
