#include "kit/cd_image.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

namespace kiln {
namespace {

TEST(CdImage, CommandLines) {
  EXPECT_EQ(join(cd_command("xorriso", "cidata", "/r", "/o.iso"), " "),
            "xorriso -as genisoimage -rock -joliet -volid cidata -output /o.iso /r");
  EXPECT_EQ(join(cd_command("mkisofs", "cidata", "/r", "/o.iso"), " "),
            "mkisofs -joliet -volid cidata -rock -o /o.iso /r");
}

TEST(CdImage, FilesAndContentAreOnIt) {
  if (!find_program("xorriso")) GTEST_SKIP() << "xorriso is not installed";
  TempDir directory;
  fs::create_directories(directory.path() / "tree" / "sub");
  write_file_atomically(directory.path() / "tree" / "sub" / "a.txt", "a");
  write_file_atomically(directory.path() / "one.cfg", "1");
  fs::path out = directory.path() / "cd.iso";
  CdConfig cd{.cd_files = {(directory.path() / "tree").string(), (directory.path() / "*.cfg").string()},
              .cd_content = {{"user-data", "#cloud-config\n"}, {"deep/meta-data", ""}},
              .cd_label = "cidata"};
  make_cd_image(cd, out, Deadline::in(std::chrono::seconds(30)), Stop());
  std::string listing =
      run_checked({{"xorriso", "-indev", out.string(), "-find"}}, Deadline::in(std::chrono::seconds(30)), Stop());
  for (const auto* name : {"/tree/sub/a.txt'", "/one.cfg'", "/user-data'", "/deep/meta-data'"}) {
    EXPECT_TRUE(contains(listing, name)) << name << "\n" << listing;
  }
  EXPECT_THROW(make_cd_image({.cd_content = {{"../x", ""}}}, out, Deadline::never(), Stop()), Error);
}

}  // namespace
}  // namespace kiln
