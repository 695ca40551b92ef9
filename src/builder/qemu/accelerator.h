// Which accelerator works here, found by trying it.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "base/guarded.h"
#include "core/stage_context.h"

namespace kiln::qemu {

/// What was found about KVM for one QEMU and CPU model.
struct KvmVerdict {
  bool works = false;
  std::string why;  ///< when it does not: "/dev/kvm: permission denied", QEMU's last words, "too slow"
};

/// Tries KVM once for each QEMU and CPU model and remembers. Thread-safe; shared by the builds of a run.
class KvmProbe {
 public:
  /// Starts QEMU with a 200-byte machine program that enters 64-bit mode, writes memory and switches off. KVM
  /// works when that ends well and soon: a /dev/kvm that opens but cannot make a virtual CPU, or one that
  /// interprets every instruction (nested without support), is of no use. Takes 0.1 s, at most 0.3 s of CPU.
  KvmVerdict probe(const std::string& qemu_binary, const std::string& cpu_model, StageContext& context);

 private:
  Guarded<std::map<std::string, KvmVerdict>> known_;
};

/// The 64 KiB ROM with that program.
std::string kvm_probe_rom();

}  // namespace kiln::qemu
