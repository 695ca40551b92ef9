#include "report/prompt.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

namespace kiln {

std::string ask_on_terminal(const std::string& question, const Stop& stop) {
  Fd tty(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  // A background job that read from its terminal would be stopped by the kernel (SIGTTIN).
  if (!tty.is_open() || ::tcgetpgrp(tty.get()) != ::getpgrp()) {
    throw Error(ErrorKind::environment, "no available tty");
  }
  write_all(tty.get(), question + " ");
  std::string line;
  while (!contains(line, "\n")) {
    wait(tty.get(), POLLIN, Deadline::never(), stop);
    std::string part = read_some(tty.get(), 4096);
    if (part.empty())
      throw Error(ErrorKind::environment, "the terminal was closed while waiting for an answer");
    line += part;
  }
  return std::string(trim(line));
}

}  // namespace kiln
