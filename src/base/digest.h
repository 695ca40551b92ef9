// Digests of bytes and files (OpenSSL).
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace kiln {

/// Incremental digest. Names as Packer's checksum types: md5 sha1 sha224 sha256 sha384 sha512.
class Digest {
 public:
  /// Throws Error{user} on an unknown name.
  explicit Digest(std::string_view algorithm);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  void update(std::string_view bytes);
  /// Lower-case hex. The object is used up.
  std::string hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

bool is_digest_name(std::string_view algorithm);
std::string digest_hex(std::string_view algorithm, std::string_view bytes);
/// Of the whole file, whose holes are not read. `progress` is told how many bytes are done, every few MiB; what it
/// throws ends the work. Throws Error{environment}.
std::string file_digest_hex(std::string_view algorithm, const std::filesystem::path& path,
                            const std::function<void(uint64_t done)>& progress = {});
/// The same of an open file (borrowed), from its beginning; its position is lost.
std::string file_digest_hex(std::string_view algorithm, int fd,
                            const std::function<void(uint64_t done)>& progress = {});

}  // namespace kiln
