// Writing files into a tar or a zip.
#pragma once
#include <string>
#include <vector>

#include "kit/compressor.h"

namespace kiln {

/// Called with every piece of input that was taken; may throw to stop.
using TakenFn = std::function<void(size_t bytes)>;

/// One file as it is.
void write_plain(const std::string& file, ByteSink& out, const TakenFn& taken);
/// A POSIX (pax) tar; members are named as given, with mode and time.
void write_tar(const std::vector<std::string>& files, ByteSink& out, const TakenFn& taken);
/// A zip (zip64 where needed), each member deflated on all cores. Level -1: default.
void write_zip(const std::vector<std::string>& files, int level, int threads, ByteSink& out,
               const TakenFn& taken);

}  // namespace kiln
