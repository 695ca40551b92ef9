#include "kit/page_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "base/fd.h"

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

/// A process that has a file mapped privately and writes to its pages as it is told.
class Fork {
 public:
  explicit Fork(const PageFile& memory) {
    int pipe_of_it[2] = {}, pipe_to_it[2] = {};
    KILN_CHECK(::pipe(pipe_of_it) == 0 && ::pipe(pipe_to_it) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      void* mapped = ::mmap(nullptr, memory.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE, memory.fd(), 0);
      Write one;
      while (::write(pipe_of_it[1], "d", 1) == 1 && ::read(pipe_to_it[0], &one, sizeof one) == sizeof one) {
        char* page = static_cast<char*>(mapped) + one.page * page_size;
        if (one.give_back) {
          ::madvise(page, page_size, MADV_DONTNEED);
        } else {
          std::memset(page, one.value, page_size);
        }
      }
      ::_exit(0);
    }
    done_.reset(pipe_of_it[0]);
    write_.reset(pipe_to_it[1]);
    ::close(pipe_of_it[1]);
    ::close(pipe_to_it[0]);
    wait();
  }
  ~Fork() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  void fill(size_t page, char value) { tell({page, value, false}); }
  void give_back(size_t page) { tell({page, 0, true}); }
  pid_t pid() const { return pid_; }

 private:
  struct Write {
    size_t page = 0;
    char value = 0;
    bool give_back = false;
  };
  void tell(const Write& one) {
    KILN_CHECK(::write(write_.get(), &one, sizeof one) == sizeof one);
    wait();
  }
  void wait() {
    char byte = 0;
    KILN_CHECK(::read(done_.get(), &byte, 1) == 1);
  }
  pid_t pid_ = -1;
  Fd done_, write_;
};

TEST(PageFile, ForksOfItTellTheirOwnChanges) {
  if (!ProcessMemory::can_be_seen()) GTEST_SKIP() << "processes cannot be looked into here";
  TempDir dir;
  auto memory = std::make_shared<PageFile>(PageFile::memory(small));
  View view(*memory);
  for (size_t page : {0, 1, 1023, 1024, 4000}) view.fill(page, static_cast<char>('a' + page % 7));
  memory->take_changes().write(dir.path() / "base", Stop());
  std::string before = view.all();

  Fork fork(*memory), other(*memory);
  auto process = ProcessMemory::with_mapped(fork.pid(), memory->fd());
  ASSERT_TRUE(process);
  ForkedPages pages(*process, process->mapped_at(), memory);
  EXPECT_EQ(pages.take_changes().pages(), 0U);
  other.fill(1, 'o');
  fork.fill(1, 'x');
  fork.fill(2, 'y');
  fork.fill(1023, 0);
  fork.fill(4000, static_cast<char>('a' + 4000 % 7));  // as it was
  fork.fill(4999, 'z');
  PageChanges first = pages.take_changes();
  EXPECT_EQ(first.pages(), 4U);
  first.write(dir.path() / "1", Stop());
  fork.fill(3000, 'n');
  fork.give_back(1);  // which is as in the beginning then
  PageChanges second = pages.take_changes();
  EXPECT_EQ(second.pages(), 2U);
  second.write(dir.path() / "2", Stop());
  EXPECT_EQ(pages.take_changes().pages(), 0U);

  std::string expected = before;
  auto set = [&](size_t page, char value) { std::memset(expected.data() + page * page_size, value, page_size); };
  set(2, 'y'), set(1023, 0), set(4999, 'z'), set(3000, 'n');
  PageFile again = PageFile::memory(small);
  for (const char* changes : {"base", "1", "2"}) again.apply(dir.path() / changes, Stop());
  EXPECT_TRUE(View(again).all() == expected);
  EXPECT_TRUE(view.all() == before);
}

TEST(PageFile, MemoryOfAProcessThatEndedCannotBeRead) {
  if (!ProcessMemory::can_be_seen()) GTEST_SKIP() << "processes cannot be looked into here";
  auto memory = std::make_shared<PageFile>(PageFile::memory(small));
  std::optional<ForkedPages> pages;
  {
    Fork fork(*memory);
    auto process = ProcessMemory::with_mapped(fork.pid(), memory->fd());
    ASSERT_TRUE(process);
    pages.emplace(*process, process->mapped_at(), memory);
  }
  EXPECT_THROW(pages->take_changes(), Error);
  EXPECT_FALSE(ProcessMemory::with_mapped(::getpid(), Fd(::memfd_create("other", MFD_CLOEXEC)).get()));
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
