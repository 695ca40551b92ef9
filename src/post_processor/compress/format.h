// Which container and which compression a name asks for (packer-surface 6.10).
#pragma once
#include <string>

#include "kit/compressor.h"

namespace kiln {

struct CompressFormat {
  enum class Container { none, tar, zip };
  Container container = Container::tar;
  Codec codec = Codec::gzip;
  std::string codec_name = "pgzip";  ///< as Packer's messages call it
  bool operator==(const CompressFormat&) const = default;
};

/// Decided by the last extensions of OUTPUT.FORMAT: .gz .bgzf .lz4 .xz .bz2 .zst for one file, .tar.X for
/// many, .tar, .zip; anything else is a tar with gzip.
CompressFormat choose_compress_format(const std::string& output, const std::string& format);

}  // namespace kiln
