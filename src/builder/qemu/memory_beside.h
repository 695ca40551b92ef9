// Memories that QEMU has beside the machine's: of display adapters, and the firmware. It saves and loads them as parts
// of the machine's memory. Who saves the devices alone (state.cc) keeps them by himself.
#pragma once
#include <optional>
#include <vector>

#include "base/file.h"
#include "builder/qemu/vm.h"
#include "kit/page_file.h"
#include "kit/process_memory.h"

namespace kiln::qemu {

/// Where they are in QEMU's process, which does not change while it runs.
class MemoryBeside {
 public:
  /// Asks a QEMU that has the machine's memory from `memory`. nullopt: its process cannot be read, or the machine is
  /// of a kind (not a PC) whose memories we do not know.
  static std::optional<MemoryBeside> find(Vm& vm, const PageFile& memory, const Stop& stop);

  const ProcessMemory& process() const { return process_; }
  /// All of each, as changes of zeroes. The machine stands still.
  std::vector<PageChanges> take() const;
  /// What take() gave is in these files of a state.
  static fs::path file(const fs::path& state, size_t number);
  /// Puts back what the state has. The machine stands still.
  void bring(const fs::path& state, const Stop& stop) const;

 private:
  struct Stretch {
    uint64_t address = 0, bytes = 0;
  };
  explicit MemoryBeside(const ProcessMemory& process) : process_(process) {}
  ProcessMemory process_;
  std::vector<Stretch> all_;
};

}  // namespace kiln::qemu
