// A machine's memory or disk as a file of pages: what changed of it between two states, and how it is put
// together again. Format of the changes: docs/formats/states.md.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/wait.h"
#include "kit/process_memory.h"

namespace kiln {

constexpr size_t page_size = 4096;

/// A digest of a page's content. Not for secrets: only tells whether a page changed.
struct PageDigest {
  uint64_t low = 0, high = 0;
  bool operator==(const PageDigest&) const = default;
};

/// Pages that are not as they were, copied. A plain value; large.
class PageChanges {
 public:
  struct Part {
    size_t slice_first = 0;           ///< page
    std::vector<uint32_t> pages;      ///< relative to slice_first, ascending
    std::vector<bool> zero;           ///< of each, whether it holds nothing
    std::unique_ptr<char[]> content;  ///< of the slice: each page at its place, those that are not zero
  };
  PageChanges(uint64_t size, std::vector<Part> parts) : size_(size), parts_(std::move(parts)) {}
  size_t pages() const;
  /// Compressed with zstd, with checksums. Throws Error.
  void write(const fs::path& file, const Stop& stop) const;

 private:
  uint64_t size_;
  std::vector<Part> parts_;
};

/// What is known of pages, so that changes are told from it, some slices at once. For those who have the pages.
class PageRecord {
 public:
  explicit PageRecord(std::vector<PageDigest> known) : known_(std::move(known)) {}
  /// Calls `visit` for each page of the slice, in order, with its number in it, its digest and, unless that is the one
  /// of zeroes, its content, which is valid during the call.
  using Visit = std::function<void(size_t page, const PageDigest& digest, const char* content)>;
  using EachPage = std::function<void(size_t slice, const Visit& visit)>;

  std::vector<PageDigest>& known() { return known_; }
  const std::vector<PageDigest>& known() const { return known_; }
  size_t slices() const;
  /// Copies what changed, so that take_changes() need copy only what did since.
  void copy_ahead(const EachPage& each);
  /// What changed, which is known then.
  PageChanges take_changes(const EachPage& each);

 private:
  struct Ahead {
    std::unique_ptr<char[]> content;
    std::vector<PageDigest> copied;  ///< of what `content` has of each page
  };
  std::vector<PageDigest> known_;
  std::vector<Ahead> ahead_;  ///< by slice; empty: nothing was copied ahead
};

/// The file itself. Its size stays what it is.
class PageFile {
 public:
  /// Memory: so many bytes of nothing, a multiple of the page size. It has no name in any file system and is
  /// gone when nobody uses it any more.
  static PageFile memory(uint64_t bytes);
  /// A disk: a file that is there. It is not written to but by apply().
  static PageFile disk(const fs::path& file);
  /// The same, made anew, empty; its parents' changes are to be applied.
  static PageFile new_disk(const fs::path& file, uint64_t bytes);
  ~PageFile();
  PageFile(PageFile&& other) noexcept;
  PageFile& operator=(PageFile&&) = delete;

  int fd() const { return fd_.get(); }
  uint64_t size() const { return size_; }
  const char* data() const { return mapped_; }
  /// Puts changes into it (written by PageChanges::write). Throws Error{environment} when the file is
  /// damaged.
  void apply(const fs::path& file, const Stop& stop);
  /// Copies what changed already while it is still being written to, so that take_changes() has only the rest
  /// to copy. Does nothing unless much has been added since: reading everything once more would cost more
  /// than it saves.
  void copy_ahead();
  /// What is not as it was when this was called last, and not by apply(). At first there were zeroes. Nobody
  /// may write to it meanwhile.
  PageChanges take_changes();

 private:
  friend class ForkedPages;
  PageFile(Fd fd, std::string name, uint64_t bytes);
  void put_pages(uint64_t first, uint64_t count, const char* content);
  void put_zeroes(uint64_t first, uint64_t count);
  uint64_t bytes_held() const;
  PageRecord::EachPage each_page() const;

  Fd fd_;
  std::string name_;
  uint64_t size_;
  char* mapped_ = nullptr;
  PageRecord record_;
  uint64_t held_before_ = 0;  ///< bytes, when changes were taken last
};

/// Pages of a process of ours that began as those of a PageFile, which it has mapped privately, or as zeroes:
/// many processes have one file, and each its own changes. Looks only at what the process wrote to since it
/// mapped them.
class ForkedPages {
 public:
  /// `address`: of the first page, in the process. `common`: what it began as; nobody writes to it any more.
  ForkedPages(const ProcessMemory& process, uint64_t address, std::shared_ptr<const PageFile> common);
  /// The same, of memory that began as zeroes.
  ForkedPages(const ProcessMemory& process, uint64_t address, uint64_t bytes);
  /// As those of PageFile; changes are, at first, what is not as in the beginning. The process stands still while
  /// they are taken.
  void copy_ahead();
  PageChanges take_changes();

 private:
  void each_page(size_t slice, const PageRecord::Visit& visit) const;

  ProcessMemory process_;
  uint64_t address_;
  std::shared_ptr<const PageFile> common_;  ///< null: zeroes
  PageRecord record_;
  uint64_t own_before_ = 0;  ///< bytes of the process, when changes were taken last
};

}  // namespace kiln
