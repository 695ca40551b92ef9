#include "base/error.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace kiln {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::user: return "user";
    case ErrorKind::environment: return "environment";
    case ErrorKind::remote: return "remote";
    case ErrorKind::timeout: return "timeout";
    case ErrorKind::cancelled: return "cancelled";
    case ErrorKind::internal: return "internal";
  }
  return "internal";
}

Error Error::with_context(std::string_view context) const {
  return Error(kind_, std::string(context) + ": " + message_);
}

void throw_errno(std::string_view what) {
  int saved = errno;
  throw Error(ErrorKind::environment, std::string(what) + ": " + std::strerror(saved));
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "kiln: bug: %s does not hold at %s:%d. Please report this.\n", condition, file, line);
  std::abort();
}

}  // namespace kiln
