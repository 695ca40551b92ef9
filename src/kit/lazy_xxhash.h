// What Kiln uses of xxHash, opened at its first call: base/lazy_library.h.
#pragma once
#include <xxhash.h>

#include "base/lazy_library.h"

namespace kiln {

inline constexpr LazyLibrary lazy_xxhash{"libxxhash.so.0", "libxxhash0"};
KILN_LAZY_FUNCTION(lazy_xxhash, XXH3_128bits);

}  // namespace kiln
