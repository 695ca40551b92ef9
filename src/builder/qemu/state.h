// States of a machine: frozen while it stands still for a moment, brought back as a machine of its own.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "builder/qemu/machine.h"
#include "core/state_cache.h"

namespace kiln::qemu {

/// Freezes disks, memory and devices at one instant. The machine goes on with new disk layers.
std::unique_ptr<PendingState> freeze(Running& running, const Config& config, const fs::path& directory,
                                     StageContext& context);

/// What a state needs besides disks and memory: key pair, seed, CD and floppy images, UEFI variables. Copied
/// between the machine's own directory and the state's; the variables while the machine stands still.
void keep_extras(const Running& running, const fs::path& directory);
void keep_variables(const Running& running, const fs::path& directory);
void bring_extras(const Config& config, Running& running, const MachineState& first,
                  const MachineState& last);

/// New layers over those of the state.
void layer_disks(Running& running, const MachineState& last, StageContext& context);

/// Why the machine cannot go on with the state's memory, but must boot from its disks; empty: it can.
std::string why_not_hot(const MachineState& last, const std::string& accelerator,
                        const std::string& definition);
/// Whether its disks alone are a state to boot from.
bool can_boot(const MachineState& state);
/// The memory of the line's last state; `share`: one for all who ask for that state, who then only read it. It stays
/// until another state's is asked for.
std::shared_ptr<PageFile> memory_of(const std::vector<MachineState>& line, bool share, const Stop& stop);
/// Whether its devices were saved by themselves, which RunValues::devices_alone says to QEMU.
bool has_devices_alone(const MachineState& state);
/// Loads the devices' state into a machine that waits for it, and lets it run.
void thaw(Running& running, const MachineState& last, StageContext& context);

/// What the state records of where it was made, to be compared.
std::string host_cpu_for(const std::string& accelerator);

}  // namespace kiln::qemu
