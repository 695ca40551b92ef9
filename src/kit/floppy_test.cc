#include "kit/floppy.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

namespace kiln {
namespace {

std::string tool(std::vector<std::string> argv) {
  return run_checked({std::move(argv)}, Deadline::in(std::chrono::seconds(20)), Stop());
}

/// The image as mtools and fsck see it: somebody else's eyes.
TEST(Floppy, OthersReadWhatWeWrite) {
  if (!find_program("mcopy")) GTEST_SKIP() << "mtools is not installed";
  TempDir directory;
  fs::path image = directory.path() / "f.img";
  std::string big(100'000, 'x');
  FloppyFiles files{{"preseed.cfg", "d-i foo\n"},
                    {"UPPER.TXT", "up"},
                    {"Autounattend.xml", "<xml/>"},
                    {"a very long name with spaces and ünïcode.conf", "long"},
                    {"longname1.text", "1"},
                    {"longname2.text", "2"},
                    {"empty", ""},
                    {"scripts/install/run.sh", "#!/bin/sh\n"},
                    {"scripts/big.bin", big}};
  write_file_atomically(image, make_floppy_image(files, "answers"));
  EXPECT_EQ(fs::file_size(image), 1474560U);
  for (const auto& [name, content] : files) {
    EXPECT_EQ(tool({"mtype", "-i", image.string(), "::" + name}), content) << name;
  }
  EXPECT_TRUE(contains(tool({"mlabel", "-i", image.string(), "-s", "::"}), "ANSWERS"));
  if (find_program("fsck.fat")) tool({"fsck.fat", "-n", image.string()});
}

TEST(Floppy, ManyFilesInADirectory) {
  if (!find_program("fsck.fat")) GTEST_SKIP() << "dosfstools is not installed";
  TempDir directory;
  fs::path image = directory.path() / "f.img";
  FloppyFiles files;
  for (int i = 0; i < 300; ++i) files["drivers/driver file number " + std::to_string(i) + ".inf"] = std::to_string(i);
  write_file_atomically(image, make_floppy_image(files, ""));
  tool({"fsck.fat", "-n", image.string()});
  EXPECT_EQ(tool({"mtype", "-i", image.string(), "::drivers/driver file number 299.inf"}), "299");
}

TEST(Floppy, WhatDoesNotFitIsAnError) {
  EXPECT_THROW(make_floppy_image({{"big", std::string(1'500'000, 'x')}}, ""), Error);
  FloppyFiles many;
  for (int i = 0; i < 300; ++i) many["f" + std::to_string(i)] = "";
  EXPECT_THROW(make_floppy_image(many, ""), Error);
}

TEST(Floppy, FilesAreFlatDirectoriesKeepTheirTree) {
  TempDir directory;
  fs::create_directories(directory.path() / "d" / "sub");
  write_file_atomically(directory.path() / "d" / "one.txt", "1");
  write_file_atomically(directory.path() / "d" / "sub" / "two.txt", "2");
  write_file_atomically(directory.path() / "three.cfg", "3");
  std::string base = directory.path().string();
  auto names = [](const FloppyConfig& floppy) {
    std::vector<std::string> out;
    for (const auto& [name, content] : collect_floppy_files(floppy)) out.push_back(name);
    return join(out, " ");
  };
  EXPECT_EQ(names({.floppy_files = {base + "/d", base + "/*.cfg"}}), "one.txt three.cfg two.txt");
  EXPECT_EQ(names({.floppy_dirs = {base + "/d"}}), "d/one.txt d/sub/two.txt");
  EXPECT_EQ(names({.floppy_dirs = {base + "/d/"}}), "one.txt sub/two.txt");
  EXPECT_EQ(names({.floppy_content = {{"/a/b.txt", "x"}}}), "a/b.txt");
  EXPECT_THROW(collect_floppy_files({.floppy_files = {base + "/*.none"}}), Error);
  EXPECT_THROW(collect_floppy_files({.floppy_content = {{"../b.txt", "x"}}}), Error);
}

}  // namespace
}  // namespace kiln
