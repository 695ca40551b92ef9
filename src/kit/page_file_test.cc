#include "kit/page_file.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "base/error.h"

namespace kiln {
namespace {

/// The memory as the guest would see it.
struct View {
  explicit View(const PageFile& memory)
      : data(static_cast<char*>(
            ::mmap(nullptr, memory.size(), PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd(), 0))),
        size(memory.size()) {}
  ~View() { ::munmap(data, size); }
  void fill(size_t page, char value) const { std::memset(data + page * page_size, value, page_size); }
  std::string all() const { return {data, size}; }
  char* data;
  size_t size;
};

constexpr uint64_t small = 5000 * page_size;

TEST(PageFile, TellsChangesAndPutsThemTogether) {
  TempDir dir;
  PageFile memory = PageFile::memory(small);
  View view(memory);
  for (size_t page : {0, 1, 2, 1023, 1024, 4999}) view.fill(page, static_cast<char>('a' + page % 7));
  PageChanges first = memory.take_changes();
  EXPECT_EQ(first.pages(), 6U);
  first.write(dir.path() / "1", Stop());
  view.fill(1, 'x');
  view.fill(2, 0);
  view.fill(3000, 'y');
  PageChanges second = memory.take_changes();
  EXPECT_EQ(second.pages(), 3U);
  second.write(dir.path() / "2", Stop());
  EXPECT_EQ(memory.take_changes().pages(), 0U);

  PageFile again = PageFile::new_disk(dir.path() / "again", small);
  again.apply(dir.path() / "1", Stop());
  again.apply(dir.path() / "2", Stop());
  EXPECT_TRUE(View(again).all() == view.all());
  EXPECT_EQ(again.take_changes().pages(), 0U);
}

TEST(PageFile, ACopyGoesItsOwnWay) {
  TempDir dir;
  PageFile memory = PageFile::memory(small);
  View view(memory);
  for (size_t page : {0, 1, 1023, 1024, 4000}) view.fill(page, static_cast<char>('a' + page % 7));
  memory.take_changes().write(dir.path() / "1", Stop());
  view.fill(4000, 'q');  // not told yet: the copy tells it, too

  PageFile copy = memory.copy();
  View copied(copy);
  EXPECT_TRUE(copied.all() == view.all());
  copied.fill(1, 'x');
  EXPECT_EQ(copy.take_changes().pages(), 2U);
  EXPECT_EQ(memory.take_changes().pages(), 1U);
  EXPECT_FALSE(copied.all() == view.all());
}

TEST(PageFile, WhatIsCopiedAheadIsTakenAsItIsInTheEnd) {
  TempDir dir;
  constexpr uint64_t large = uint64_t{192} << 20U;
  constexpr size_t written = (uint64_t{160} << 20U) / page_size;  // enough for it to be done
  PageFile memory = PageFile::memory(large);
  View view(memory);
  for (size_t page = 0; page < written; ++page) view.fill(page, static_cast<char>(1 + page % 100));
  memory.copy_ahead();
  view.fill(5, 'x');            // another content than was copied
  view.fill(6, 0);              // as it was before
  view.fill(written + 3, 'y');  // in a slice that had nothing
  PageChanges changes = memory.take_changes();
  EXPECT_EQ(changes.pages(), written);
  changes.write(dir.path() / "1", Stop());
  PageFile again = PageFile::memory(large);
  again.apply(dir.path() / "1", Stop());
  EXPECT_TRUE(View(again).all() == view.all());

  // Changed, copied and changed back; and a copy of before is not taken for one of now.
  memory.copy_ahead();
  EXPECT_EQ(memory.take_changes().pages(), 0U);
  view.fill(7, 'z');
  PageChanges last = memory.take_changes();
  EXPECT_EQ(last.pages(), 1U);
  last.write(dir.path() / "2", Stop());
  again.apply(dir.path() / "2", Stop());
  EXPECT_TRUE(View(again).all() == view.all());
}

TEST(PageFile, ZeroesAreAppliedOverWhatWasThere) {
  TempDir dir;
  PageFile memory = PageFile::memory(small);
  View view(memory);
  for (size_t page = 0; page < 300; ++page) view.fill(page, 'z');
  memory.take_changes().write(dir.path() / "1", Stop());
  for (size_t page = 100; page < 200; ++page) view.fill(page, 0);
  memory.take_changes().write(dir.path() / "2", Stop());
  PageFile again = PageFile::memory(small);
  again.apply(dir.path() / "1", Stop());
  again.apply(dir.path() / "2", Stop());
  EXPECT_TRUE(View(again).all() == view.all());
  EXPECT_EQ(again.take_changes().pages(), 0U);
}

TEST(PageFile, AFreshOneHasNoChanges) { EXPECT_EQ(PageFile::memory(small).take_changes().pages(), 0U); }

TEST(PageFile, RefusesDamage) {
  TempDir dir;
  PageFile memory = PageFile::memory(small);
  View view(memory);
  for (size_t page = 0; page < 100; ++page) view.fill(page, static_cast<char>(page));
  memory.take_changes().write(dir.path() / "whole", Stop());
  std::string whole = read_file(dir.path() / "whole");
  auto refuses = [&](const std::string& bytes) {
    write_file_atomically(dir.path() / "damaged", bytes);
    EXPECT_THROW(PageFile::memory(small).apply(dir.path() / "damaged", Stop()), Error);
  };
  for (size_t length = 0; length < whole.size(); length += 1 + whole.size() / 50)
    refuses(whole.substr(0, length));
  for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 50) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x40);
    refuses(flipped);
  }
  EXPECT_THROW(PageFile::memory(small + page_size).apply(dir.path() / "whole", Stop()), Error);
}

}  // namespace
}  // namespace kiln
