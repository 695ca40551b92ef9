#include "post_processor/compress/format.h"

#include <array>

#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

struct KnownCodec {
  const char* extension;
  Codec codec;
  const char* name;
};
constexpr std::array known_codecs = {
    KnownCodec{"gz", Codec::gzip, "pgzip"},     KnownCodec{"gzip", Codec::gzip, "pgzip"},
    KnownCodec{"bgzf", Codec::bgzf, "bgzf"},    KnownCodec{"lz4", Codec::lz4, "lz4"},
    KnownCodec{"xz", Codec::xz, "xz"},          KnownCodec{"bz2", Codec::bzip2, "bzip2"},
    KnownCodec{"bzip2", Codec::bzip2, "bzip2"}, KnownCodec{"zst", Codec::zstd, "zstd"},
    KnownCodec{"zstd", Codec::zstd, "zstd"},
};

}  // namespace

CompressFormat choose_compress_format(const std::string& output, const std::string& format) {
  std::string name = fs::path(output).filename().string();
  if (!format.empty()) name += (format.starts_with('.') ? "" : ".") + format;
  auto parts = split(name, '.');
  CompressFormat out;
  if (parts.size() < 2) return out;
  const std::string& last = parts.back();
  using Container = CompressFormat::Container;
  if (last == "zip") return {Container::zip, Codec::none, ""};
  if (last == "tar") return {Container::tar, Codec::none, ""};
  for (const auto& known : known_codecs) {
    if (last != known.extension) continue;
    bool tar = parts.size() > 2 && parts[parts.size() - 2] == "tar";
    return {tar ? Container::tar : Container::none, known.codec, known.name};
  }
  return out;
}

}  // namespace kiln
