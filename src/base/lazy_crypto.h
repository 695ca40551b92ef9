// What Kiln uses of OpenSSL's libcrypto, opened at the first call: base/lazy_library.h.
#pragma once
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/lazy_library.h"

namespace kiln {

inline constexpr LazyLibrary lazy_crypto{"libcrypto.so.3", "libssl3"};
KILN_LAZY_FUNCTION(lazy_crypto, BIO_free);
KILN_LAZY_FUNCTION(lazy_crypto, BIO_new_mem_buf);
KILN_LAZY_FUNCTION(lazy_crypto, CRYPTO_free);
KILN_LAZY_FUNCTION(lazy_crypto, ERR_clear_error);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_DecodeBlock);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_DigestFinal_ex);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_DigestInit_ex);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_DigestUpdate);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_DigestVerify);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_DigestVerifyInit);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_EncodeBlock);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_MD_CTX_free);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_MD_CTX_new);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_PKEY_CTX_free);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_PKEY_CTX_new);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_PKEY_CTX_set_rsa_padding);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_PKEY_decrypt);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_PKEY_decrypt_init);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_PKEY_free);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_PKEY_get_base_id);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_PKEY_get_bits);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_PKEY_get_size);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_md5);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_sha1);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_sha224);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_sha256);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_sha384);
KILN_LAZY_FUNCTION(lazy_crypto, EVP_sha512);
KILN_LAZY_FUNCTION(lazy_crypto, HMAC);
KILN_LAZY_FUNCTION(lazy_crypto, PEM_read_bio);
KILN_LAZY_FUNCTION(lazy_crypto, PKCS8_PRIV_KEY_INFO_free);
KILN_LAZY_FUNCTION(lazy_crypto, X509_free);
KILN_LAZY_FUNCTION(lazy_crypto, X509_get_pubkey);
KILN_LAZY_FUNCTION(lazy_crypto, d2i_AutoPrivateKey);
KILN_LAZY_FUNCTION(lazy_crypto, d2i_PKCS8_PRIV_KEY_INFO);
KILN_LAZY_FUNCTION(lazy_crypto, d2i_PUBKEY);
KILN_LAZY_FUNCTION(lazy_crypto, d2i_PrivateKey);
KILN_LAZY_FUNCTION(lazy_crypto, d2i_X509);

}  // namespace kiln
