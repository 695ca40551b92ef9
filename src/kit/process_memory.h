// The memory of a process that we started, seen from outside (Linux: process_vm_readv(2), /proc/PID/pagemap).
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/fd.h"

namespace kiln {

/// What is read is of one instant only while the process stands still. A value; the process may have ended
/// meanwhile, which is Error{environment}.
class ProcessMemory {
 public:
  /// Whether the kernel and its settings (ptrace(2), "ptrace_scope"; the kind of page in pagemap) let us look
  /// into processes that we started.
  static bool can_be_seen();
  /// That of `started`, or of a process below it (a program may be a script that starts the real one), which
  /// has `file` (borrowed) mapped. nullopt: none has, or none can be seen.
  static std::optional<ProcessMemory> with_mapped(pid_t started, int file);

  /// Where the mapping of the file begins.
  uint64_t mapped_at() const { return mapped_at_; }

  struct Pages {
    size_t first = 0, count = 0;
  };
  /// Of `count` pages from an address on, those that are the process's own: written to in a private mapping.
  /// In ascending order, numbered from the address.
  std::vector<Pages> own_pages(uint64_t address, size_t count) const;
  /// How many bytes of its memory are its own and in no file: grows with what it writes to.
  uint64_t own_bytes() const;
  /// Copies these pages, numbered from the address, into `to`, one behind the other.
  void read(uint64_t address, const std::vector<Pages>& pages, char* to) const;
  void write(uint64_t address, const char* data, size_t size) const;

 private:
  ProcessMemory(pid_t pid, uint64_t mapped_at);
  pid_t pid_;
  uint64_t mapped_at_;
  std::shared_ptr<Fd> pagemap_;
};

}  // namespace kiln
