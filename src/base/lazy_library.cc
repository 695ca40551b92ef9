#include "base/lazy_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "base/error.h"

namespace kiln {

void* function_of(const LazyLibrary& library, const char* name) {
  // Opened already, this only counts.
  void* handle = ::dlopen(library.file, RTLD_LAZY | RTLD_LOCAL);
  if (!handle) {
    throw Error(ErrorKind::environment, fmt::format("the library {} cannot be loaded (apt-get install {}): {}",
                                                    library.file, library.package, ::dlerror()));
  }
  void* function = ::dlsym(handle, name);
  if (!function) {
    throw Error(ErrorKind::environment,
                fmt::format("the library {} is too old: it has no {} (apt-get install {})", library.file, name,
                            library.package));
  }
  return function;
}

}  // namespace kiln
