#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/text.h"
#include "core/image_store_fixture.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using ImageArchiveTest = ImageStoreTest;

TEST_F(ImageArchiveTest, ExportAndImportGiveTheSameFilesAndRecord) {
  std::string sparse = output("vm/disk.raw", "head");
  ASSERT_EQ(::truncate(sparse.c_str(), 40 << 20), 0);
  int fd = ::open(sparse.c_str(), O_WRONLY);
  ASSERT_EQ(::pwrite(fd, "middle", 6, 20 << 20), 6);
  ::close(fd);
  std::string hole = output("vm/hole", "");
  ASSERT_EQ(::truncate(hole.c_str(), 3 << 20), 0);
  ImageRecord record;
  record.name = "app";
  record.key = "k";
  record.builder_type = "qemu";
  record.tags = {"stable"};
  record.tests.set("passed", 1);
  record.fresh_machine.set("disk", sparse);
  record.parents = {"bbbbbbbbbbbb"};
  auto image =
      store_->add(record, {sparse, hole, output("vm/efi/vars.fd", std::string(100'000, 'v'))}, Stop());
  for (const char* name : {"x.tar", "x.tar.zst"}) {
    fs::path archive = directory_.path() / name;
    store_->export_image(image, archive, Stop());
    EXPECT_LT(fs::file_size(archive), 400'000u) << "holes are not written";
    auto other = open_image_store(directory_.path() / (std::string("other-") + name));
    fs::path to = directory_.path() / (std::string("to-") + name);
    auto imported = other->import_image(archive, to, Stop());
    EXPECT_EQ(imported.id, image.id);
    EXPECT_EQ(imported.digest, image.digest);
    EXPECT_EQ(imported.made, image.made);
    EXPECT_EQ(imported.tests, image.tests);
    EXPECT_THAT(imported.tags, ElementsAre("stable"));
    EXPECT_THAT(imported.parents, ElementsAre("bbbbbbbbbbbb"));
    EXPECT_EQ(imported.fresh_machine.find("disk")->as_string(), (to / "disk.raw").string());
    EXPECT_EQ(imported.files[2].path, (to / "efi/vars.fd").string());
    for (size_t i = 0; i < image.files.size(); ++i) {
      EXPECT_EQ(file_digest_hex("sha256", imported.files[i].path), image.files[i].digest);
      EXPECT_EQ(fs::status(imported.files[i].path).permissions(),
                fs::status(image.files[i].path).permissions());
    }
    struct stat status {};
    ASSERT_EQ(::stat(imported.files[0].path.c_str(), &status), 0);
    EXPECT_LT(status.st_blocks * 512, 1 << 20) << "holes stay holes";
    EXPECT_EQ(other->find_by_key("k")->id, image.id);

    fs::path again = directory_.path() / (std::string("again-") + name);
    other->export_image(other->get(image.id), again, Stop());
    EXPECT_THAT(message([&] { other->import_image(archive, to, Stop()); }), HasSubstr("is there already"));
    auto second = other->import_image(again, directory_.path() / (std::string("second-") + name), Stop());
    EXPECT_NE(second.id, image.id) << "the id is taken";
    EXPECT_THAT(second.tags, IsEmpty()) << "and so is the tag";
    EXPECT_EQ(second.digest, image.digest);
  }
}

TEST_F(ImageArchiveTest, RefusesArchivesThatAreNoneOrCutOff) {
  auto image = made("app", "k", {output("disk", random_bytes(300'000))});
  fs::path archive = directory_.path() / "x.tar";
  store_->export_image(image, archive, Stop());
  fs::path to = directory_.path() / "to";
  std::string whole = read_file(archive);
  auto refuse = [&](const std::string& bytes) {
    write_file_atomically(archive, bytes);
    std::string text = message([&] { store_->import_image(archive, to, Stop()); });
    std::error_code error;
    EXPECT_TRUE(!fs::exists(to) || fs::is_empty(to, error)) << text;
    return text;
  };
  EXPECT_THAT(refuse("hello"), HasSubstr(archive.string()));
  EXPECT_THAT(refuse(whole.substr(0, 200'000)), HasSubstr(archive.string()));
  EXPECT_THAT(refuse(whole.substr(0, 100)), HasSubstr(archive.string()));
  std::string damaged = whole;
  damaged[150'000] = static_cast<char>(damaged[150'000] ^ 1);
  EXPECT_THAT(refuse(damaged), HasSubstr("is damaged"));
  EXPECT_THAT(refuse(replace_all(whole, "\"kiln_image\":1", "\"kiln_image\":2")),
              HasSubstr("made by a newer Kiln"));
  EXPECT_THAT(refuse(replace_all(whole, "\"name\":\"disk\"", "\"name\":\"../x\"")),
              HasSubstr("outside of its directory"));
  EXPECT_THAT(refuse(replace_all(whole, "\"name\":\"disk\"", "\"name\":\"disc\"")),
              HasSubstr("says nothing"));
  EXPECT_EQ(store_->list().size(), 1u);
}

}  // namespace
}  // namespace kiln
