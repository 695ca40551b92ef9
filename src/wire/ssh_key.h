// SSH keys over libssh: private keys, certificates, public texts.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct ssh_key_struct;

namespace kiln {

/// A key (private, public or a private key that carries its certificate). Shared, immutable.
class SshKey {
 public:
  /// Parses PEM, PKCS#8 or OpenSSH private key text. `name` is for messages. Throws Error{user} in Packer's
  /// words: "Failed to read key 'NAME': no key found", "... password protected keys are\nnot supported. ...".
  static SshKey parse_private(std::string_view text, const std::string& name);
  /// Reads and parses a private key file ("~" is expanded). Throws as above, or "stat PATH: no such file
  /// ...".
  static SshKey load_private(const std::string& path);
  /// A new key. type: rsa, ecdsa, ed25519; bits as in OpenSSH (ignored for ed25519). Throws Error{internal}.
  static SshKey generate(const std::string& type, int bits);
  /// This private key with the OpenSSH certificate in that file. Throws Error{user} when the file is no
  /// certificate, is not valid now, or belongs to another key.
  SshKey with_certificate(const std::string& path) const;

  /// "ssh-ed25519 AAAA..." without a comment and without a newline.
  std::string public_text() const;
  /// The private key as unencrypted text.
  std::string private_text() const;
  /// "SHA256:...", as `ssh-keygen -l` shows it.
  std::string fingerprint() const;
  /// "ssh-ed25519", "ecdsa-sha2-nistp521", ...
  std::string type_name() const;
  ssh_key_struct* get() const { return key_.get(); }

 private:
  explicit SshKey(ssh_key_struct* key);
  std::shared_ptr<ssh_key_struct> key_;
};

/// Whether the text is a private key protected by a passphrase (PEM, PKCS#8 or OpenSSH format).
bool is_encrypted_private_key(std::string_view text);

}  // namespace kiln
