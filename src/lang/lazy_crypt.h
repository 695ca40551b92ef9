// What Kiln uses of libcrypt, opened at the first call: base/lazy_library.h.
#pragma once
#include <crypt.h>

#include "base/lazy_library.h"

namespace kiln {

inline constexpr LazyLibrary lazy_crypt{"libcrypt.so.1", "libcrypt1"};
KILN_LAZY_FUNCTION(lazy_crypt, crypt_gensalt_rn);
KILN_LAZY_FUNCTION(lazy_crypt, crypt_r);

}  // namespace kiln
