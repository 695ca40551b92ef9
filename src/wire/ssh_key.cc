#include "wire/ssh_key.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <ctime>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "wire/lazy_ssh.h"

namespace kiln {

namespace {

[[noreturn]] void bad_key(const std::string& name, std::string_view why) {
  throw Error(ErrorKind::user,
              fmt::format("Error setting up SSH config: Failed to read key '{}': {}", name, why));
}

/// libssh asks for a passphrase through this; we never have one.
int no_passphrase(const char*, char*, size_t, int, int, void*) { return -1; }

std::string_view pem_body(std::string_view text, std::string_view begin, std::string_view end) {
  size_t from = text.find(begin);
  if (from == text.npos) return {};
  from += begin.size();
  size_t to = text.find(end, from);
  return to == text.npos ? std::string_view() : text.substr(from, to - from);
}

/// Reads fields of SSH's wire format; stays at the end once something is missing.
class KeyBlobReader {
 public:
  explicit KeyBlobReader(std::string_view bytes) : bytes_(bytes) {}
  uint64_t number(size_t size) {
    uint64_t out = 0;
    if (bytes_.size() < size) return fail(), 0;
    for (size_t i = 0; i < size; ++i) out = out << 8 | static_cast<unsigned char>(bytes_[i]);
    bytes_.remove_prefix(size);
    return out;
  }
  std::string_view string() {
    size_t size = number(4);
    if (bytes_.size() < size) return fail(), std::string_view();
    std::string_view out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return out;
  }
  bool ok() const { return ok_; }

 private:
  void fail() {
    ok_ = false;
    bytes_ = {};
  }
  std::string_view bytes_;
  bool ok_ = true;
};

struct CertificateTimes {
  uint64_t after = 0;
  uint64_t before = 0;
};

/// The validity of an OpenSSH certificate (PROTOCOL.certkeys), in seconds since the epoch.
CertificateTimes certificate_times(std::string_view blob) {
  KeyBlobReader in(blob);
  std::string type(in.string());
  in.string();  // nonce
  int fields = type.starts_with("ssh-rsa")   ? 2
               : type.starts_with("ssh-dss") ? 4
               : type.starts_with("ecdsa")   ? 2
                                             : 1;
  for (int i = 0; i < fields; ++i) in.string();
  in.number(8);  // serial
  in.number(4);  // type
  in.string();   // key id
  in.string();   // principals
  CertificateTimes times;
  times.after = in.number(8);
  times.before = in.number(8);
  if (!in.ok()) times = {1, 0};
  return times;
}

std::string base64_of(std::string_view line) {
  auto parts = split(trim(line), ' ');
  return parts.size() > 1 ? parts[1] : std::string();
}

}  // namespace

SshKey::SshKey(ssh_key_struct* key) : key_(key, [](ssh_key_struct* k) { ssh_key_free(k); }) {}

bool is_encrypted_private_key(std::string_view text) {
  if (contains(text, "-----BEGIN ENCRYPTED PRIVATE KEY")) return true;
  if (contains(text, "Proc-Type: 4,ENCRYPTED")) return true;
  std::string_view body =
      pem_body(text, "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----");
  if (body.empty()) return false;
  std::string compact;
  for (char c : body) {
    if (!isspace(static_cast<unsigned char>(c))) compact += c;
  }
  try {
    std::string bytes = base64_decode(compact);
    constexpr size_t magic = sizeof "openssh-key-v1";  // with its NUL
    if (bytes.size() < magic || bytes.compare(0, magic - 1, "openssh-key-v1") != 0) return false;
    KeyBlobReader in(std::string_view(bytes).substr(magic));
    return in.string() != "none";
  } catch (const Error&) {
    return false;
  }
}

SshKey SshKey::parse_private(std::string_view text, const std::string& name) {
  if (is_encrypted_private_key(text)) {
    bad_key(name, "password protected keys are\nnot supported. Please decrypt the key prior to use.");
  }
  if (!contains(text, "-----BEGIN ")) bad_key(name, "no key found");
  std::string copy(text);
  if (!copy.ends_with('\n')) copy += '\n';
  ssh_key key = nullptr;
  if (ssh_pki_import_privkey_base64(copy.c_str(), nullptr, no_passphrase, nullptr, &key) != SSH_OK) {
    bad_key(name, "this is no private key that can be read (PEM, PKCS#8 or OpenSSH format)");
  }
  return SshKey(key);
}

SshKey SshKey::load_private(const std::string& path) {
  std::string expanded = expand_home(path).string();
  struct stat info {};
  if (stat(expanded.c_str(), &info) != 0) {
    throw Error(ErrorKind::user, fmt::format("stat {}: {}", expanded, go_errno_text(errno)));
  }
  if (S_ISDIR(info.st_mode)) {
    throw Error(ErrorKind::user,
                fmt::format("Error setting up SSH config: read {}: is a directory", expanded));
  }
  return parse_private(read_file(expanded), expanded);
}

SshKey SshKey::generate(const std::string& type, int bits) {
  ssh_keytypes_e kind = SSH_KEYTYPE_UNKNOWN;
  if (type == "rsa") kind = SSH_KEYTYPE_RSA;
  if (type == "ed25519") kind = SSH_KEYTYPE_ED25519;
  if (type == "ecdsa") {
    kind = bits == 256   ? SSH_KEYTYPE_ECDSA_P256
           : bits == 384 ? SSH_KEYTYPE_ECDSA_P384
                         : SSH_KEYTYPE_ECDSA_P521;
  }
  if (kind == SSH_KEYTYPE_UNKNOWN) throw Error(ErrorKind::user, fmt::format("unknown type of key: {}", type));
  ssh_key key = nullptr;
  if (ssh_pki_generate(kind, type == "rsa" ? bits : 0, &key) != SSH_OK) {
    throw Error(ErrorKind::internal, fmt::format("cannot make a {} key of {} bits", type, bits));
  }
  return SshKey(key);
}

SshKey SshKey::with_certificate(const std::string& path) const {
  std::string expanded = expand_home(path).string();
  std::string text = read_file(expanded);
  std::string blob;
  try {
    blob = base64_decode(base64_of(text));
  } catch (const Error&) {
  }
  ssh_key certificate = nullptr;
  if (!contains(text, "-cert-v01@openssh.com") ||
      ssh_pki_import_cert_file(expanded.c_str(), &certificate) != SSH_OK) {
    throw Error(ErrorKind::user, fmt::format("{} is no OpenSSH certificate", expanded));
  }
  SshKey owned(certificate);
  CertificateTimes times = certificate_times(blob);
  uint64_t now = static_cast<uint64_t>(std::time(nullptr));
  if (now < times.after)
    throw Error(ErrorKind::user, fmt::format("the certificate {} is not valid yet", expanded));
  if (now >= times.before)
    throw Error(ErrorKind::user, fmt::format("the certificate {} has expired", expanded));
  SshKey copy(ssh_key_dup(key_.get()));
  if (ssh_pki_copy_cert_to_privkey(certificate, copy.get()) != SSH_OK) {
    throw Error(ErrorKind::user,
                fmt::format("the certificate {} does not belong to the private key", expanded));
  }
  return copy;
}

std::string SshKey::public_text() const {
  char* text = nullptr;
  if (ssh_pki_export_pubkey_base64(key_.get(), &text) != SSH_OK) {
    throw Error(ErrorKind::internal, "cannot write the public key");
  }
  std::string out = type_name() + " " + text;
  ssh_string_free_char(text);
  return out;
}

std::string SshKey::private_text() const {
  char* text = nullptr;
  if (ssh_pki_export_privkey_base64(key_.get(), nullptr, nullptr, nullptr, &text) != SSH_OK) {
    throw Error(ErrorKind::internal, "cannot write the private key");
  }
  std::string out = text;
  ssh_string_free_char(text);
  return out;
}

std::string SshKey::fingerprint() const {
  unsigned char* hash = nullptr;
  size_t size = 0;
  if (ssh_get_publickey_hash(key_.get(), SSH_PUBLICKEY_HASH_SHA256, &hash, &size) != SSH_OK) return "?";
  char* text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, size);
  std::string out = text ? text : "?";
  ssh_string_free_char(text);
  ssh_clean_pubkey_hash(&hash);
  return out;
}

std::string SshKey::type_name() const {
  if (ssh_key_type(key_.get()) == SSH_KEYTYPE_ECDSA) return ssh_pki_key_ecdsa_name(key_.get());
  const char* name = ssh_key_type_to_char(ssh_key_type(key_.get()));
  return name ? name : "unknown";
}

}  // namespace kiln
