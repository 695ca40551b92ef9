// A disk layer of a machine whose states are kept: an empty qcow2 file over another one. Written here rather
// than by qemu-img, whose start takes longer than the machine stands still. Format: docs/interop/qcow2.txt of
// QEMU, version 3.
#pragma once
#include <cstdint>
#include <string>

#include "base/file.h"

namespace kiln::qemu {

/// The whole file: a disk of `size` bytes that is what `below` (a qcow2 file, named as the layer sees it)
/// holds. Pure.
std::string empty_layer(const std::string& below, uint64_t size);
/// Makes the layer at `path` over `below`, a file of the same directory, which may be written to at the
/// moment. Throws Error{environment}.
void make_layer(const fs::path& path, const fs::path& below);

}  // namespace kiln::qemu
