// A machine's memory as a file that QEMU maps: what changed of it between two states, and how it is put together again.
// Format of the changes: docs/formats/states.md.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/wait.h"

namespace kiln::qemu {

constexpr size_t page_size = 4096;

/// A digest of a page's content. Not for secrets: only tells whether a page changed.
struct PageDigest {
  uint64_t low = 0, high = 0;
  bool operator==(const PageDigest&) const = default;
};

/// Pages that are not as they were, copied. A plain value; large.
class MemoryChanges {
 public:
  struct Part {
    size_t slice_first = 0;           ///< page
    std::vector<uint32_t> pages;      ///< relative to slice_first, ascending
    std::vector<bool> zero;           ///< of each, whether it holds nothing
    std::unique_ptr<char[]> content;  ///< of those that are not zero, one after the other
  };
  MemoryChanges(uint64_t memory, std::vector<Part> parts) : memory_(memory), parts_(std::move(parts)) {}
  size_t pages() const;
  /// Compressed with zstd, with checksums. Throws Error.
  void write(const fs::path& file, const Stop& stop) const;

 private:
  uint64_t memory_;
  std::vector<Part> parts_;
};

/// The memory itself. It has no name in any file system and is gone when nobody uses it any more.
class GuestMemory {
 public:
  /// Empty memory of so many bytes, a multiple of the page size.
  explicit GuestMemory(uint64_t bytes);
  ~GuestMemory();
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  int fd() const { return fd_.get(); }
  uint64_t size() const { return size_; }
  /// Puts changes into it. Throws Error{environment} when the file is damaged.
  void apply(const fs::path& file, const Stop& stop);
  /// Remembers its content as what changes are told from. At first that is: nothing but zeroes.
  void remember();
  /// What changed since it was remembered last, or since this was called last. The machine must stand still.
  MemoryChanges take_changes();

 private:
  std::vector<MemoryChanges::Part> compare(bool copy);

  Fd fd_;
  uint64_t size_;
  char* mapped_ = nullptr;
  std::vector<PageDigest> known_;
};

}  // namespace kiln::qemu
