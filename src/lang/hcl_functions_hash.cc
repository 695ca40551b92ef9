// md5 sha1 sha256 sha512 bcrypt rsadecrypt uuidv4 uuidv5. Source: Go's documentation of the packages of these
// names.
#include <fmt/format.h>

#include <memory>

#include "base/digest.h"
#include "base/lazy_crypto.h"
#include "base/text.h"
#include "lang/hcl_function_kit.h"
#include "lang/lazy_crypt.h"

namespace kiln::hcl_fn {
namespace {

/// Each step takes twice the time: this one about a minute.
constexpr int64_t max_bcrypt_cost = 20;

std::string random_from(const HclHost& host, size_t size) {
  if (!host.random) fail("random numbers are not to be had here");
  std::string out(size, '\0');
  host.random(out.data(), size);
  return out;
}

HclValue bcrypt(const Arguments& arguments, const HclType&, const HclHost& host) {
  int64_t cost = arguments.size() > 1 ? whole_number(arguments[1]) : 10;
  if (arguments.size() > 2) fail("bcrypt() takes no more than two arguments");
  const std::string& password = arguments[0].as_string();
  auto refuse = [](const std::string& why) { fail("error occured generating password " + why); };
  if (password.size() > 72) refuse("bcrypt: password length exceeds 72 bytes");
  if (cost < 4) cost = 10;
  if (cost > 31) refuse(fmt::format("crypto/bcrypt: cost {} is outside allowed inclusive range 4..31", cost));
  if (cost > max_bcrypt_cost)
    refuse(fmt::format("a cost of {} would take hours: at most {} is done", cost, max_bcrypt_cost));
  if (password.find('\0') != std::string::npos) refuse("a password must not contain a zero byte");
  std::string salt = random_from(host, 16);
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  auto data = std::make_unique<crypt_data>();
  // "2b" is the algorithm as it is everywhere now; Go's name for it is "2a".
  if (!crypt_gensalt_rn("$2b$", static_cast<unsigned long>(cost), salt.data(), static_cast<int>(salt.size()),
                        setting, sizeof setting)) {
    refuse("this machine's libcrypt knows no bcrypt");
  }
  const char* hash = crypt_r(password.c_str(), setting, data.get());
  if (!hash || hash[0] != '$') refuse("this machine's libcrypt knows no bcrypt");
  std::string out = hash;
  out[2] = 'a';
  return HclValue::string(std::move(out));
}

struct PemBlock {
  std::string bytes;
  bool encrypted = false;
};

std::optional<PemBlock> read_pem(const std::string& text) {
  std::unique_ptr<BIO, CallToDelete<BIO_free>> bio(
      BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  if (!bio || PEM_read_bio(bio.get(), &name, &header, &data, &size) != 1) {
    ERR_clear_error();
    return {};
  }
  PemBlock out{std::string(reinterpret_cast<char*>(data), static_cast<size_t>(size)),
               contains(header, "Proc-Type: 4,ENCRYPTED")};
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  return out;
}

using Key = std::unique_ptr<EVP_PKEY, CallToDelete<EVP_PKEY_free>>;

Key read_rsa_key(const std::string& der) {
  auto bytes = reinterpret_cast<const unsigned char*>(der.data());
  Key key(d2i_PrivateKey(EVP_PKEY_RSA, nullptr, &bytes, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) {
    fail(der.size() < 2 ? "asn1: syntax error: truncated tag or length"
                        : "asn1: structure error: the key is no RSA key in the form of PKCS #1");
  }
  // PKCS #8 holds a version, an algorithm, a key; PKCS #1 goes on with numbers.
  auto at = reinterpret_cast<const unsigned char*>(der.data());
  if (PKCS8_PRIV_KEY_INFO* info = d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, static_cast<long>(der.size()))) {
    PKCS8_PRIV_KEY_INFO_free(info);
    fail("x509: failed to parse private key (use ParsePKCS8PrivateKey instead for this key format)");
  }
  ERR_clear_error();
  int bits = EVP_PKEY_get_bits(key.get());
  if (bits < 1024) {
    fail(fmt::format(
        "crypto/rsa: {}-bit keys are insecure (see https://go.dev/pkg/crypto/rsa#hdr-Minimum_key_size)",
        bits));
  }
  return key;
}

std::string rsa_decrypt(const std::vector<std::string>& texts) {
  size_t bad = 0;
  auto cipher = go_base64_decode(texts[0], &bad);
  if (!cipher)
    fail(fmt::format("failed to decode input {}: cipher text must be base64-encoded", go_quote(texts[0])));
  auto block = read_pem(texts[1]);
  if (!block) fail("failed to parse key: no key found");
  if (block->encrypted) {
    fail(
        "failed to parse key: password protected keys are not supported. Please decrypt the key prior to "
        "use");
  }
  Key key = read_rsa_key(block->bytes);
  std::unique_ptr<EVP_PKEY_CTX, CallToDelete<EVP_PKEY_CTX_free>> context(
      EVP_PKEY_CTX_new(key.get(), nullptr));
  auto in = reinterpret_cast<const unsigned char*>(cipher->data());
  std::string out(static_cast<size_t>(EVP_PKEY_get_size(key.get())), '\0');
  size_t size = out.size();
  bool done = context && cipher->size() <= out.size() && EVP_PKEY_decrypt_init(context.get()) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1 &&
              EVP_PKEY_decrypt(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, in,
                               cipher->size()) == 1;
  ERR_clear_error();
  if (!done) fail("crypto/rsa: decryption error");
  out.resize(size);
  return out;
}

/// 16 bytes as a UUID of the given version.
std::string uuid_text(std::string bytes, int version) {
  bytes[6] = static_cast<char>((bytes[6] & 0x0F) | version << 4);
  bytes[8] = static_cast<char>((bytes[8] & 0x3F) | 0x80);
  std::string hex = hex_encode(bytes);
  for (size_t at : {8, 13, 18, 23}) hex.insert(at, 1, '-');
  return hex;
}

std::string bytes_of_hex(std::string_view hex) {
  std::string out;
  auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  return out;
}

std::string parse_uuid(const std::string& text) {
  auto refuse = [&](const std::string& why) {
    fail(fmt::format("uuidv5() doesn't support namespace {} ({})", text, why));
  };
  std::string hex = text;
  if (text.size() == 45) {
    if (lower(text.substr(0, 9)) != "urn:uuid:")
      refuse(fmt::format("invalid urn prefix: {}", go_quote(text.substr(0, 9))));
    hex = text.substr(9);
  } else if (text.size() == 38) {
    hex = text.substr(1, 36);
  } else if (text.size() != 36 && text.size() != 32) {
    refuse(fmt::format("invalid UUID length: {}", text.size()));
  }
  if (hex.size() == 36) {
    for (size_t at : {23, 18, 13, 8}) {
      if (hex[at] != '-') refuse("invalid UUID format");
      hex.erase(at, 1);
    }
  }
  if (hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) refuse("invalid UUID format");
  return bytes_of_hex(hex);
}

std::string uuid_v5(const std::vector<std::string>& texts) {
  // RFC 4122, appendix C.
  static constexpr std::pair<std::string_view, int> spaces[] = {
      {"dns", 0}, {"url", 1}, {"oid", 2}, {"x500", 4}};
  std::string space;
  for (const auto& [name, number] : spaces) {
    if (texts[0] == name) space = bytes_of_hex(fmt::format("6ba7b81{}9dad11d180b400c04fd430c8", number));
  }
  if (space.empty()) space = parse_uuid(texts[0]);
  return uuid_text(bytes_of_hex(digest_hex("sha1", space + texts[1])).substr(0, 16), 5);
}

}  // namespace

void add_hash(HclFunctionTable& table) {
  using Texts = std::vector<std::string>;
  for (std::string name : {"md5", "sha1", "sha256", "sha512"}) {
    table[name] = text_function(fmt::format("Returns the {} digest of a text in hexadecimal.", upper(name)),
                                {"str"}, [name](const Texts& a) { return digest_hex(name, a[0]); });
  }
  table["bcrypt"] = function("Hashes a password with bcrypt; a cost up to 20 may be given.", {text("str")},
                             number("cost"), always(HclType::string()), bcrypt);
  table["rsadecrypt"] = text_function("Decrypts base64-encoded text with an RSA key in PEM form.",
                                      {"ciphertext", "privatekey"}, rsa_decrypt);
  table["uuidv4"] = function("Returns a new random UUID.", {}, always(HclType::string()),
                             [](const Arguments&, const HclType&, const HclHost& host) {
                               return HclValue::string(uuid_text(random_from(host, 16), 4));
                             });
  table["uuidv5"] =
      text_function("Returns the UUID of a name within a namespace.", {"namespace", "name"}, uuid_v5);
}

}  // namespace kiln::hcl_fn
