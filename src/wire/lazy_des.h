// DES of OpenSSL's libcrypto, which VNC's passwords need.
#pragma once
#include <openssl/des.h>

#include "base/lazy_crypto.h"

namespace kiln {

// Deprecated; single DES has no other interface without the legacy provider.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
KILN_LAZY_FUNCTION(lazy_crypto, DES_ecb_encrypt);
KILN_LAZY_FUNCTION(lazy_crypto, DES_set_key_unchecked);
#pragma GCC diagnostic pop

}  // namespace kiln
