#include "kit/checksum.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace kiln {
namespace {

std::string error_of(const std::string& text) {
  try {
    parse_checksum_spec(text);
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

TEST(Checksum, ReadsPackersForms) {
  EXPECT_EQ(parse_checksum_spec("none").kind, ChecksumSpec::Kind::none);
  EXPECT_EQ(parse_checksum_spec("D41D8CD98F00B204E9800998ECF8427E").checksum.text(),
            "md5:d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(parse_checksum_spec("sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709").checksum.type, "sha1");
  EXPECT_EQ(parse_checksum_spec("file:http://h/SUMS").file, "http://h/SUMS");
}

// The texts of Packer 1.6.6, from running it.
TEST(Checksum, ComplainsInPackersWords) {
  EXPECT_EQ(error_of("zz"), "invalid checksum: encoding/hex: invalid byte: U+007A 'z' in \"zz\"");
  EXPECT_EQ(
      error_of("md5:d41d8cd98f00b204e9800998ecf8427e0"),
      "invalid checksum: encoding/hex: odd length hex string in \"md5:d41d8cd98f00b204e9800998ecf8427e0\"");
  EXPECT_EQ(error_of("foo:d41d8cd98f00b204e9800998ecf8427e"),
            "invalid checksum: unsupported checksum type: foo in \"foo:d41d8cd98f00b204e9800998ecf8427e\"");
  EXPECT_EQ(error_of("d41d8cd98f00b204e9800998ecf8427e12"),
            "invalid checksum: Unknown type for checksum d41d8cd98f00b204e9800998ecf8427e12 in "
            "\"d41d8cd98f00b204e9800998ecf8427e12\"");
}

TEST(Checksum, FindsTheLineOfASumFile) {
  const std::string md5 = "d41d8cd98f00b204e9800998ecf8427e";
  auto find = [](const std::string& text, const std::string& source) {
    auto found = find_in_sum_file(text, source, "SUMS");
    return found ? found->text() : "-";
  };
  EXPECT_EQ(find(md5 + "  b.iso\n" + md5 + " *a.iso\n", "http://h/d/a.iso?x=1"), "md5:" + md5);
  EXPECT_EQ(find("MD5 (a.iso) = " + md5, "dir/a.iso"), "md5:" + md5);
  EXPECT_EQ(find(md5 + "  ./d/a.iso", "http://h/d/a.iso"), "md5:" + md5);
  EXPECT_EQ(find(md5 + "\n", "a.iso"), "md5:" + md5);
  EXPECT_EQ(find(md5 + "  ba.iso\n", "a.iso"), "-");
  EXPECT_EQ(find(md5 + "  x/a.iso\n", "srv/a.iso"), "-");
  EXPECT_EQ(find("# comment\n-----BEGIN PGP\n", "a.iso"), "-");
}

TEST(Checksum, LooksUpALocalSumFile) {
  TempDir dir;
  auto sums = dir.path() / "SUMS";
  write_file_atomically(sums, "d41d8cd98f00b204e9800998ecf8427e  a.iso\n");
  EXPECT_EQ(resolve_checksum("file:" + sums.string(), "a.iso", Stop())->type, "md5");
  EXPECT_EQ(resolve_checksum("file://" + sums.string(), "a.iso", Stop())->type, "md5");
  EXPECT_FALSE(resolve_checksum("none", "a.iso", Stop()).has_value());
  try {
    resolve_checksum("file:/no/such.sum", "a.iso", Stop());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "invalid checksum: Error downloading checksum file: source path error: stat /no/such.sum: no "
              "such file "
              "or directory in \"file:/no/such.sum\"");
  }
}

}  // namespace
}  // namespace kiln
