#include "base/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

namespace kiln {

struct Digest::Context {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(context); }
};

static const EVP_MD* find_digest(std::string_view name) {
  if (name == "md5") return EVP_md5();
  if (name == "sha1") return EVP_sha1();
  if (name == "sha224") return EVP_sha224();
  if (name == "sha256") return EVP_sha256();
  if (name == "sha384") return EVP_sha384();
  if (name == "sha512") return EVP_sha512();
  return nullptr;
}

Digest::Digest(std::string_view algorithm) : context_(std::make_unique<Context>()) {
  const EVP_MD* md = find_digest(algorithm);
  if (!md) throw Error(ErrorKind::user, "unknown digest: " + std::string(algorithm));
  KILN_CHECK(EVP_DigestInit_ex(context_->context, md, nullptr) == 1);
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
