// SIGINT and SIGTERM become a Stop.
#pragma once
#include <functional>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/wait.h"

namespace kiln {

/// Blocks SIGINT and SIGTERM in this thread (and those it starts) and waits for them in a thread of its own.
/// Make it before any other thread. The first signal calls `announce` with Go's name of it ("interrupt") and
/// requests `stop`; the second leaves at once with exit code 1: the journal remembers what is left, `kiln gc`
/// removes it.
class SignalWatch {
 public:
  SignalWatch(Stop stop, std::function<void(const std::string&)> announce);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  void watch();

  Stop stop_;
  Stop own_;  ///< ends the thread
  std::function<void(const std::string&)> announce_;
  Fd signals_;
  std::thread thread_;
};

}  // namespace kiln
