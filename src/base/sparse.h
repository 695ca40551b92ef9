// Files with holes: where their data is, and copies that keep the holes or share the data.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>

namespace kiln {

/// A stretch of data of a file, as offsets [begin, end).
struct Extent {
  off_t begin = 0;
  off_t end = 0;
};

/// The first stretch of data at or behind `at` and before `size`; nullopt: a hole is all that follows. On a
/// file system that knows no holes everything is data. Moves the file's position.
std::optional<Extent> next_extent(int fd, off_t at, off_t size);

/// Makes `to` (empty) share the data of `from`: nothing is copied until one of them changes. False where the
/// file system cannot.
bool share_content(int from, int to);

/// Copies what `from` holds into `to` (empty), holes as holes, within the kernel where it can. `progress` is
/// told how many bytes are done; what it throws ends the copy. Returns 0, or the errno of what failed.
[[nodiscard]] int copy_content(int from, int to, const std::function<void(uint64_t done)>& progress = {});

}  // namespace kiln
