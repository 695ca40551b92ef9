#include "base/digest.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "base/lazy_crypto.h"
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

std::string file_digest_hex(std::string_view algorithm, const std::filesystem::path& path) {
  Digest digest(algorithm);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) throw_errno("open " + path.string());
  for (;;) {
    std::string block = read_some(fd.get(), 1 << 20);
    if (block.empty()) return digest.hex();
    digest.update(block);
  }
}

}  // namespace kiln
