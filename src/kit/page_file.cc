#include "kit/page_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "base/error.h"
#include "kit/lazy_codecs.h"
#include "kit/lazy_xxhash.h"

namespace kiln {

namespace {

constexpr char magic[8] = {'K', 'I', 'L', 'N', 'P', 'G', 'S', '1'};
constexpr uint64_t end_mark = ~uint64_t{0};
constexpr size_t slice_pages = 1024;  // of one worker at a time: 4 MiB
constexpr unsigned most_workers = 4;
constexpr uint64_t worth_copying_ahead = uint64_t{128} << 20U;  // bytes added since
constexpr size_t chunk_pages = 64;  // that are read at once: the processor has them at hand when they are digested

PageDigest digest_of(const char* page) {
  auto hash = XXH3_128bits(page, page_size);
  return {hash.low64, hash.high64};
}

const PageDigest& digest_of_zeroes() {
  static const PageDigest zeroes = digest_of(std::vector<char>(page_size).data());
  return zeroes;
}

/// Does the work for all numbers below `count`, on some threads. What one of them throws is thrown.
void in_parallel(size_t count, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next = 0;
  std::exception_ptr failed;
  std::mutex mutex;
  auto run = [&] {
    try {
      for (size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      std::scoped_lock lock(mutex);
      failed = std::current_exception();
    }
  };
  unsigned workers = std::clamp(std::thread::hardware_concurrency(), 1U, most_workers);
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < workers; ++i) threads.emplace_back(run);
  run();
  for (auto& thread : threads) thread.join();
  if (failed) std::rethrow_exception(failed);
}

/// Whether each slice holds anything at all: holes of the file are zeroes, and need not be looked at (looking
/// would fill them).
std::vector<bool> slices_with_data(int fd, uint64_t size) {
  constexpr off_t slice_bytes = slice_pages * page_size;
  std::vector<bool> out((size / page_size + slice_pages - 1) / slice_pages);
  for (size_t slice = 0; slice < out.size(); ++slice) {
    off_t begin = static_cast<off_t>(slice) * slice_bytes;
    off_t data = ::lseek(fd, begin, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return out;
    if (data < 0) {  // a file system that knows no holes
      out.assign(out.size(), true);
      return out;
    }
    slice = static_cast<size_t>(data / slice_bytes);
    out[slice] = true;
  }
  return out;
}

size_t pages_of(size_t slice, size_t all) { return std::min(slice_pages, all - slice * slice_pages); }

/// Copies the page to its place among the slice's.
void keep_content(std::unique_ptr<char[]>& slice, size_t pages, size_t page, const char* content) {
  if (!slice) slice.reset(new char[pages * page_size]);
  std::memcpy(slice.get() + page * page_size, content, page_size);
}

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

class ZstdWriter {
 public:
  explicit ZstdWriter(const fs::path& file)
      : path_(file),
        fd_(::open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600)),
        context_(ZSTD_createCCtx()),
        out_(ZSTD_CStreamOutSize()) {
    if (!fd_.is_open()) throw_errno("write " + file.string());
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
  }
  void put(const void* data, size_t size) { push({data, size, 0}, ZSTD_e_continue); }
  void put_number(uint64_t number) { put(&number, sizeof number); }
  void end() { push({nullptr, 0, 0}, ZSTD_e_end); }

 private:
  void push(ZSTD_inBuffer in, ZSTD_EndDirective directive) {
    for (;;) {
      ZSTD_outBuffer out{out_.data(), out_.size(), 0};
      size_t left = ZSTD_compressStream2(context_.get(), &out, &in, directive);
      if (ZSTD_isError(left))
        throw Error(ErrorKind::internal, std::string("zstd: ") + ZSTD_getErrorName(left));
      write_all(fd_.get(), {out_.data(), out.pos});
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return;
    }
  }
  fs::path path_;
  Fd fd_;
  std::unique_ptr<ZSTD_CCtx, FreeCompressor> context_;
  std::vector<char> out_;
};

class ZstdReader {
 public:
  explicit ZstdReader(const fs::path& file)
      : path_(file),
        fd_(::open(file.c_str(), O_RDONLY | O_CLOEXEC)),
        context_(ZSTD_createDCtx()),
        buffer_(ZSTD_DStreamInSize()) {
    if (!fd_.is_open()) throw_errno("read " + file.string());
  }
  /// Fills all of it.
  void get(void* data, size_t size) {
    ZSTD_outBuffer out{data, size, 0};
    while (out.pos < out.size) {
      if (in_.pos == in_.size) refill();
      step(out);
    }
  }
  uint64_t number() {
    uint64_t out = 0;
    get(&out, sizeof out);
    return out;
  }
  /// Whether the frame ends here, with the right checksum, and the file with it.
  void end() {
    char more = 0;
    ZSTD_outBuffer out{&more, 1, 0};
    while (!ended_) {
      if (in_.pos == in_.size) refill();
      step(out);
      if (out.pos != 0) damaged("there is more than it should hold");
    }
  }
  [[noreturn]] void damaged(const std::string& why) const {
    throw Error(ErrorKind::environment, fmt::format("{} is damaged: {}", path_.string(), why));
  }

 private:
  void step(ZSTD_outBuffer& out) {
    size_t left = ZSTD_decompressStream(context_.get(), &out, &in_);
    if (ZSTD_isError(left)) damaged(ZSTD_getErrorName(left));
    ended_ = left == 0;
    if (ended_ && out.pos < out.size && in_.pos == in_.size) refill();
  }
  void refill() {
    ssize_t got = ::read(fd_.get(), buffer_.data(), buffer_.size());
    if (got < 0) throw_errno("read " + path_.string());
    if (got == 0) damaged("it ends too early");
    in_ = {buffer_.data(), static_cast<size_t>(got), 0};
  }
  fs::path path_;
  Fd fd_;
  std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context_;
  std::vector<char> buffer_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool ended_ = false;
};

}  // namespace

size_t PageChanges::pages() const {
  size_t out = 0;
  for (const auto& part : parts_) out += part.pages.size();
  return out;
}

void PageChanges::write(const fs::path& file, const Stop& stop) const {
  ZstdWriter out(file);
  out.put(magic, sizeof magic);
  out.put_number(size_);
  for (const auto& part : parts_) {
    stop.check();
    for (size_t i = 0; i < part.pages.size();) {
      size_t count = 1;  // of pages in a row that are alike
      while (i + count < part.pages.size() && part.pages[i + count] == part.pages[i] + count &&
             part.zero[i + count] == part.zero[i])
        ++count;
      out.put_number(part.slice_first + part.pages[i]);
      out.put_number(count << 1U | (part.zero[i] ? 1U : 0U));
      if (!part.zero[i]) {
        out.put(part.content.get() + part.pages[i] * page_size, count * page_size);
      }
      i += count;
    }
  }
  out.put_number(end_mark);
  out.end();
}

PageFile::PageFile(Fd fd, std::string name, uint64_t bytes)
    : fd_(std::move(fd)),
      name_(std::move(name)),
      size_(bytes),
      record_(std::vector(bytes / page_size, digest_of_zeroes())) {
  if (bytes == 0 || bytes % page_size != 0)
    throw Error(ErrorKind::environment, name_ + " is not made of whole pages of 4096 bytes");
  void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd_.get(), 0);
  if (mapped == MAP_FAILED) throw_errno("map " + name_);
  mapped_ = static_cast<char*>(mapped);
}

PageFile::PageFile(PageFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      name_(std::move(other.name_)),
      size_(other.size_),
      mapped_(std::exchange(other.mapped_, nullptr)),
      record_(std::move(other.record_)),
      held_before_(other.held_before_) {}

PageFile PageFile::memory(uint64_t bytes) {
  Fd fd(::memfd_create("kiln-guest-memory", MFD_CLOEXEC));
  if (!fd.is_open() || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0)
    throw_errno("memory of the machine");
  return {std::move(fd), "memory of the machine", bytes};
}

PageFile PageFile::disk(const fs::path& file) {
  Fd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.is_open()) throw_errno("open " + file.string());
  return {std::move(fd), file.string(), fs::file_size(file)};
}

PageFile PageFile::new_disk(const fs::path& file, uint64_t bytes) {
  Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.is_open() || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0)
    throw_errno("write " + file.string());
  return {std::move(fd), file.string(), bytes};
}

PageFile::~PageFile() {
  if (mapped_) ::munmap(mapped_, size_);
}

void PageFile::apply(const fs::path& file, const Stop& stop) {
  ZstdReader in(file);
  char found[sizeof magic];
  in.get(found, sizeof found);
  if (std::memcmp(found, magic, sizeof magic) != 0) in.damaged("it holds no pages");
  if (in.number() != size_) in.damaged("it is of a memory or disk of another size");
  uint64_t pages = size_ / page_size;
  std::vector<char> content(chunk_pages * page_size);
  for (uint64_t first = in.number(); first != end_mark; first = in.number()) {
    uint64_t number = in.number();
    uint64_t count = number >> 1U;
    if (first >= pages || count == 0 || count > pages - first) in.damaged("a page is outside of it");
    bool zero = (number & 1U) != 0;
    for (uint64_t end = first + count; first < end; first += count) {
      stop.check();
      count = zero ? end - first : std::min<uint64_t>(end - first, chunk_pages);
      if (zero) {
        put_zeroes(first, count);
      } else {
        in.get(content.data(), count * page_size);
        put_pages(first, count, content.data());
      }
    }
  }
  in.end();
  held_before_ = bytes_held();
}

/// Written, not stored through the mapping: that would have the kernel clear each page before it is filled.
void PageFile::put_pages(uint64_t first, uint64_t count, const char* content) {
  for (uint64_t i = 0; i < count; ++i) record_.known()[first + i] = digest_of(content + i * page_size);
  size_t size = count * page_size;
  for (size_t done = 0; done < size;) {
    ssize_t n =
        ::pwrite(fd_.get(), content + done, size - done, static_cast<off_t>(first * page_size + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("write " + name_);
    done += static_cast<size_t>(n);
  }
}

void PageFile::put_zeroes(uint64_t first, uint64_t count) {
  std::fill_n(record_.known().begin() + static_cast<ptrdiff_t>(first), count, digest_of_zeroes());
  auto at = static_cast<off_t>(first * page_size), size = static_cast<off_t>(count * page_size);
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, size) != 0)
    std::memset(mapped_ + at, 0, static_cast<size_t>(size));
}

uint64_t PageFile::bytes_held() const {
  struct stat status {};
  return ::fstat(fd_.get(), &status) == 0 ? static_cast<uint64_t>(status.st_blocks) * 512 : 0;
}

PageRecord::EachPage PageFile::each_page() const {
  return [this, with_data = slices_with_data(fd_.get(), size_)](size_t slice, const PageRecord::Visit& visit) {
    const char* first = mapped_ + slice * slice_pages * page_size;
    for (size_t i = 0, count = pages_of(slice, size_ / page_size); i < count; ++i) {
      const char* page = first + i * page_size;
      visit(i, with_data[slice] ? digest_of(page) : digest_of_zeroes(), page);
    }
  };
}

void PageFile::copy_ahead() {
  if (bytes_held() >= held_before_ + worth_copying_ahead) record_.copy_ahead(each_page());
}

PageChanges PageFile::take_changes() {
  PageChanges out = record_.take_changes(each_page());
  held_before_ = bytes_held();
  return out;
}

size_t PageRecord::slices() const { return (known_.size() + slice_pages - 1) / slice_pages; }

void PageRecord::copy_ahead(const EachPage& each) {
  ahead_.clear();
  ahead_.resize(slices());
  in_parallel(ahead_.size(), [&](size_t slice) {
    size_t first = slice * slice_pages, count = pages_of(slice, known_.size());
    Ahead& ahead = ahead_[slice];
    each(slice, [&](size_t i, const PageDigest& now, const char* content) {
      if (now == known_[first + i] || now == digest_of_zeroes()) return;
      // The digest is the copy's: the page may be another by now.
      keep_content(ahead.content, count, i, content);
      ahead.copied.resize(count);
      ahead.copied[i] = digest_of(ahead.content.get() + i * page_size);
    });
  });
}

PageChanges PageRecord::take_changes(const EachPage& each) {
  std::vector<PageChanges::Part> parts(slices());
  ahead_.resize(parts.size());
  in_parallel(parts.size(), [&](size_t slice) {
    size_t first = slice * slice_pages, count = pages_of(slice, known_.size());
    Ahead& ahead = ahead_[slice];
    PageChanges::Part part;
    part.slice_first = first;
    part.content = std::move(ahead.content);
    each(slice, [&](size_t i, const PageDigest& now, const char* content) {
      if (now == known_[first + i]) return;
      known_[first + i] = now;
      bool zero = now == digest_of_zeroes();
      part.pages.push_back(static_cast<uint32_t>(i));
      part.zero.push_back(zero);
      if (zero || (!ahead.copied.empty() && ahead.copied[i] == now)) return;
      keep_content(part.content, count, i, content);
    });
    parts[slice] = std::move(part);
  });
  ahead_.clear();
  std::erase_if(parts, [](const auto& part) { return part.pages.empty(); });
  return {known_.size() * page_size, std::move(parts)};
}

ForkedPages::ForkedPages(const ProcessMemory& process, uint64_t address, std::shared_ptr<const PageFile> common)
    : process_(process), address_(address), common_(std::move(common)), record_(common_->record_.known()) {}

ForkedPages::ForkedPages(const ProcessMemory& process, uint64_t address, uint64_t bytes)
    : process_(process), address_(address), record_(std::vector(bytes / page_size, digest_of_zeroes())) {}

void ForkedPages::copy_ahead() {
  if (process_.own_bytes() < own_before_ + worth_copying_ahead) return;
  record_.copy_ahead([this](size_t slice, const auto& visit) { each_page(slice, visit); });
}

PageChanges ForkedPages::take_changes() {
  PageChanges out = record_.take_changes([this](size_t slice, const auto& visit) { each_page(slice, visit); });
  own_before_ = process_.own_bytes();
  return out;
}

/// A page that is not the process's own is as in the beginning: it never was written to, or it was given back.
void ForkedPages::each_page(size_t slice, const PageRecord::Visit& visit) const {
  size_t first = slice * slice_pages, count = pages_of(slice, record_.known().size());
  size_t next = 0;  // in the slice
  auto visit_common = [&](size_t end) {
    for (; next < end; ++next) {
      size_t page = first + next;
      if (common_) {
        visit(next, common_->record_.known()[page], common_->mapped_ + page * page_size);
      } else {
        visit(next, digest_of_zeroes(), nullptr);
      }
    }
  };
  std::unique_ptr<char[]> content;
  std::vector<ProcessMemory::Pages> chunk;
  size_t in_chunk = 0;
  auto visit_chunk = [&] {
    if (!content) content.reset(new char[chunk_pages * page_size]);
    process_.read(address_ + first * page_size, chunk, content.get());
    const char* page = content.get();
    for (const auto& run : chunk) {
      visit_common(run.first);
      for (size_t end = run.first + run.count; next < end; ++next, page += page_size)
        visit(next, digest_of(page), page);
    }
    chunk.clear();
    in_chunk = 0;
  };
  for (auto run : process_.own_pages(address_ + first * page_size, count)) {
    while (run.count > 0) {
      size_t here = std::min(run.count, chunk_pages - in_chunk);
      chunk.push_back({run.first, here});
      run = {run.first + here, run.count - here};
      if ((in_chunk += here) == chunk_pages) visit_chunk();
    }
  }
  if (in_chunk > 0) visit_chunk();
  visit_common(count);
}

}  // namespace kiln
