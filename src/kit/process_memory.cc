#include "kit/process_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/page_file.h"

namespace kiln {

namespace {

// Documentation/admin-guide/mm/pagemap.rst of Linux.
constexpr uint64_t present = uint64_t{1} << 63U;
constexpr uint64_t swapped = uint64_t{1} << 62U;
constexpr uint64_t of_file = uint64_t{1} << 61U;

Fd open_pagemap(pid_t pid) {
  std::string path = fmt::format("/proc/{}/pagemap", pid);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) throw_errno("open " + path);
  return fd;
}

/// The entries of so many pages.
std::vector<uint64_t> entries_of(const Fd& pagemap, uint64_t address, size_t count) {
  std::vector<uint64_t> out(count);
  auto* bytes = reinterpret_cast<char*>(out.data());
  auto begin = static_cast<off_t>(address / page_size * sizeof(uint64_t));
  for (size_t done = 0, size = count * sizeof(uint64_t); done < size;) {
    ssize_t n = ::pread(pagemap.get(), bytes + done, size - done, begin + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read the page table of a process");
    if (n == 0) throw Error(ErrorKind::environment, "the process whose memory is read has ended");
    done += static_cast<size_t>(n);
  }
  return out;
}

bool is_own(uint64_t entry) { return (entry & (present | swapped)) != 0 && (entry & of_file) == 0; }

/// Whether pagemap tells a page that was written to in a private mapping from one that was only read.
bool kinds_are_told() {
  Fd file(::memfd_create("kiln-probe", MFD_CLOEXEC));
  if (!file.is_open() || ::ftruncate(file.get(), 2 * page_size) != 0) return false;
  void* mapped = ::mmap(nullptr, 2 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.get(), 0);
  if (mapped == MAP_FAILED) return false;
  auto* pages = static_cast<volatile char*>(mapped);
  (void)pages[0];
  pages[page_size] = 1;
  bool told = false;
  try {
    auto entries = entries_of(open_pagemap(::getpid()), reinterpret_cast<uint64_t>(mapped), 2);
    told = !is_own(entries[0]) && is_own(entries[1]);
  } catch (const Error&) {
    // No pagemap here.
  }
  ::munmap(mapped, 2 * page_size);
  return told;
}

/// Where the process has the file mapped. Lines of /proc/PID/maps: "begin-end rights offset major:minor inode name".
std::optional<uint64_t> place_of(pid_t pid, const struct stat& file) {
  std::string device = fmt::format("{:02x}:{:02x}", major(file.st_dev), minor(file.st_dev));
  std::string inode = fmt::format("{}", file.st_ino);
  for (const auto& line : split(read_file_if_exists(fmt::format("/proc/{}/maps", pid)).value_or(""), '\n')) {
    auto words = split(line, ' ');
    if (words.size() < 5 || words[3] != device || words[4] != inode) continue;
    uint64_t address = 0;
    std::from_chars(line.data(), line.data() + line.size(), address, 16);
    return address;
  }
  return std::nullopt;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> out;
  std::string text = read_file_if_exists(fmt::format("/proc/{0}/task/{0}/children", pid)).value_or("");
  for (const auto& word : split(text, ' ')) {
    pid_t child = 0;
    if (std::from_chars(word.data(), word.data() + word.size(), child).ec == std::errc()) out.push_back(child);
  }
  return out;
}

using Transfer = ssize_t (*)(pid_t, const iovec*, unsigned long, const iovec*, unsigned long, unsigned long);

void transfer(Transfer call, pid_t pid, std::vector<iovec> here, std::vector<iovec> there, const char* what) {
  for (size_t i = 0; i < here.size();) {
    size_t count = std::min<size_t>(here.size() - i, 512);  // at once; the kernel takes 1024
    ssize_t n = call(pid, &here[i], count, &there[i], count, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw_errno(fmt::format("{} the memory of process {}", what, pid));
    auto done = static_cast<size_t>(n);
    for (; i < here.size() && done >= here[i].iov_len; ++i) done -= here[i].iov_len;
    if (done == 0) continue;
    for (auto* part : {&here[i], &there[i]}) *part = {static_cast<char*>(part->iov_base) + done, part->iov_len - done};
  }
}

iovec stretch(uint64_t address, size_t size) { return {reinterpret_cast<void*>(address), size}; }

}  // namespace

bool ProcessMemory::can_be_seen() {
  static const bool can = [] {
    // 1: of processes below us, which is what we ask for; 2: root's alone; 3: never.
    std::string scope(trim(read_file_if_exists("/proc/sys/kernel/yama/ptrace_scope").value_or("0")));
    bool allowed = scope == "0" || scope == "1" || (scope == "2" && ::geteuid() == 0);
    return allowed && kinds_are_told();
  }();
  return can;
}

std::optional<ProcessMemory> ProcessMemory::with_mapped(pid_t started, int file) {
  struct stat status {};
  if (!can_be_seen() || ::fstat(file, &status) != 0) return std::nullopt;
  std::vector<pid_t> all{started};
  for (size_t i = 0; i < all.size(); ++i) {
    if (auto place = place_of(all[i], status)) return ProcessMemory(all[i], *place);
    auto below = children_of(all[i]);
    all.insert(all.end(), below.begin(), below.end());
  }
  return std::nullopt;
}

ProcessMemory::ProcessMemory(pid_t pid, uint64_t mapped_at)
    : pid_(pid), mapped_at_(mapped_at), pagemap_(std::make_shared<Fd>(open_pagemap(pid))) {}

uint64_t ProcessMemory::own_bytes() const {
  std::string text = read_file_if_exists(fmt::format("/proc/{}/status", pid_)).value_or("");
  size_t at = text.find("\nRssAnon:");
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + 9, nullptr, 10) << 10U;
}

std::vector<ProcessMemory::Pages> ProcessMemory::own_pages(uint64_t address, size_t count) const {
  std::vector<Pages> out;
  std::vector<uint64_t> entries = entries_of(*pagemap_, address, count);
  for (size_t i = 0; i < count; ++i) {
    if (!is_own(entries[i])) continue;
    if (!out.empty() && out.back().first + out.back().count == i) {
      ++out.back().count;
    } else {
      out.push_back({i, 1});
    }
  }
  return out;
}

void ProcessMemory::read(uint64_t address, const std::vector<Pages>& pages, char* to) const {
  std::vector<iovec> here, there;
  for (const auto& run : pages) {
    size_t size = run.count * page_size;
    here.push_back({to, size});
    there.push_back(stretch(address + run.first * page_size, size));
    to += size;
  }
  transfer(&::process_vm_readv, pid_, std::move(here), std::move(there), "read");
}

void ProcessMemory::write(uint64_t address, const char* data, size_t size) const {
  transfer(&::process_vm_writev, pid_, {{const_cast<char*>(data), size}}, {stretch(address, size)}, "write");
}

}  // namespace kiln
