#include "kit/key_pair.h"

#include "wire/ssh_key.h"

namespace kiln {

KeyPair make_key_pair(const std::string& type, int bits, const std::string& comment) {
  if (bits == 0) bits = type == "rsa" ? 4096 : 521;
  SshKey key = SshKey::generate(type, bits);
  KeyPair pair;
  pair.private_text = key.private_text();
  if (!pair.private_text.ends_with('\n')) pair.private_text += '\n';
  pair.public_text = key.public_text() + (comment.empty() ? "" : " " + comment) + "\n";
  return pair;
}

}  // namespace kiln
