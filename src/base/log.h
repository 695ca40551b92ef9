// PACKER_LOG: lines for those who debug, never for results.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/redact.h"

namespace kiln {

/// Writes "2026/11/23 20:00:00 text" lines to stderr or PACKER_LOG_PATH; silent when neither asks for it.
/// Thread-safe; secrets are masked. Owned by cli, borrowed by everybody through the contexts.
class Log {
 public:
  Log();  ///< silent
  ~Log();
  /// As Packer: PACKER_LOG non-empty and not "0" turns it on; PACKER_LOG_PATH names a file (truncated).
  static std::unique_ptr<Log> from_environment(const Redactor* redactor);
  void line(std::string_view text) const;
  bool is_on() const;

 private:
  struct Sink;
  std::unique_ptr<Sink> sink_;
};

}  // namespace kiln
