// Anything as a state's file of pages: applied within the memory's bounds, or an Error.
#include <unistd.h>

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "kit/page_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  static const TempDir directory;
  const fs::path file = directory.path() / "pages";
  write_file_atomically(file, {reinterpret_cast<const char*>(data), size});
  PageFile memory = PageFile::memory(16 * page_size);
  try {
    memory.apply(file, Stop());
    // What was applied can be told and applied again.
    fs::remove(file);
    memory.take_changes().write(file, Stop());
    PageFile again = PageFile::memory(16 * page_size);
    again.apply(file, Stop());
  } catch (const Error& error) {
    KILN_CHECK(error.kind() == ErrorKind::environment);
  }
  return 0;
}
