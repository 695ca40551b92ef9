// Free ports of this machine.
#pragma once
#include <string>

namespace kiln::qemu {

/// A port of [min, max] nobody listens on at `address` ("" is everywhere), chosen at random. It may be taken
/// before it is used: the user of it must cope. Throws Error{environment} when none is free.
int find_free_port(const std::string& address, int min, int max);

}  // namespace kiln::qemu
