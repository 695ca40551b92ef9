// DES of OpenSSL's libcrypto, which VNC's passwords need.
#pragma once
#define OPENSSL_SUPPRESS_DEPRECATED  // single DES has no other interface without the legacy provider
#include <openssl/des.h>

#include "base/lazy_crypto.h"

namespace kiln {

KILN_LAZY_FUNCTION(lazy_crypto, DES_ecb_encrypt);
KILN_LAZY_FUNCTION(lazy_crypto, DES_set_key_unchecked);

}  // namespace kiln
