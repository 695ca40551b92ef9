// Temporary ssh key pairs: made for one build, installed in the machine, thrown away.
#pragma once
#include <string>

namespace kiln {

/// Both halves as text, each ending in a newline.
struct KeyPair {
  std::string private_text;  ///< PEM or OpenSSH format, unencrypted: a secret
  std::string public_text;   ///< one authorized_keys line: "ssh-rsa AAAA... COMMENT"
};

/// Makes a pair. type: "rsa" (bits 0: 4096), "ecdsa" (0: 521; 256, 384), "ed25519" (bits ignored), as
/// temporary_key_pair_type and _bits say. RSA of 4096 bits takes up to a few seconds of CPU: make it while
/// the machine boots if you can. Throws Error{user} on an unknown type.
KeyPair make_key_pair(const std::string& type, int bits, const std::string& comment);

}  // namespace kiln
