#include "kit/key_pair.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "wire/ssh_key.h"

namespace kiln {
namespace {

struct KeyPairCase {
  std::string type;
  int bits;
  std::string prefix;
  std::string listed;  ///< "BITS" and "(TYPE)" as ssh-keygen -l says
};

class KeyPairOfType : public testing::TestWithParam<KeyPairCase> {};

// Both halves belong together, and OpenSSH's own tool reads them.
TEST_P(KeyPairOfType, IsReadByOpensshAndByUs) {
  auto [type, bits, prefix, listed] = GetParam();
  KeyPair pair = make_key_pair(type, bits, "packer_1234");
  EXPECT_TRUE(pair.public_text.starts_with(prefix + " ")) << pair.public_text;
  EXPECT_TRUE(pair.public_text.ends_with(" packer_1234\n")) << pair.public_text;

  SshKey parsed = SshKey::parse_private(pair.private_text, "temporary");
  EXPECT_EQ(parsed.public_text() + " packer_1234\n", pair.public_text);

  TempDir dir;
  write_file_atomically(dir.path() / "key", pair.private_text, 0600);
  std::string of_private = run_checked({{"ssh-keygen", "-y", "-P", "", "-f", dir.path() / "key"}},
                                       Deadline::in(std::chrono::seconds(20)), Stop());
  auto fields = split(trim(of_private), ' ');
  EXPECT_EQ(fields[0] + " " + fields[1], parsed.public_text());
  std::string listing = run_checked({{"ssh-keygen", "-l", "-f", dir.path() / "key"}},
                                    Deadline::in(std::chrono::seconds(20)), Stop());
  EXPECT_TRUE(contains(listing, parsed.fingerprint())) << listing;
  EXPECT_TRUE(listing.starts_with(split(listed, ' ')[0] + " ")) << listing;
  EXPECT_TRUE(contains(listing, split(listed, ' ')[1])) << listing;
}

INSTANTIATE_TEST_SUITE_P(Types, KeyPairOfType,
                         testing::Values(KeyPairCase{"ed25519", 0, "ssh-ed25519", "256 (ED25519)"},
                                         KeyPairCase{"ecdsa", 0, "ecdsa-sha2-nistp521", "521 (ECDSA)"},
                                         KeyPairCase{"ecdsa", 256, "ecdsa-sha2-nistp256", "256 (ECDSA)"},
                                         KeyPairCase{"ecdsa", 384, "ecdsa-sha2-nistp384", "384 (ECDSA)"},
                                         KeyPairCase{"rsa", 2048, "ssh-rsa", "2048 (RSA)"}));

TEST(KeyPair, UnknownTypeIsAnError) {
  try {
    make_key_pair("dsa", 0, "x");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::user);
  }
}

}  // namespace
}  // namespace kiln
