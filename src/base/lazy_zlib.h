// What Kiln uses of zlib, opened at the first call: base/lazy_library.h.
#pragma once
#include <zlib.h>

#include "base/lazy_library.h"

namespace kiln {

inline constexpr LazyLibrary lazy_zlib{"libz.so.1", "zlib1g"};
KILN_LAZY_FUNCTION(lazy_zlib, crc32);
KILN_LAZY_FUNCTION(lazy_zlib, crc32_combine);
KILN_LAZY_FUNCTION(lazy_zlib, deflate);
KILN_LAZY_FUNCTION(lazy_zlib, deflateBound);
KILN_LAZY_FUNCTION(lazy_zlib, deflateEnd);
KILN_LAZY_FUNCTION(lazy_zlib, deflateInit2_);
KILN_LAZY_FUNCTION(lazy_zlib, deflateSetDictionary);

}  // namespace kiln
