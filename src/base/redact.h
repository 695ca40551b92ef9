// Secrets and the one place where they are masked.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"

namespace kiln {

/// Replaces every known secret by "<sensitive>" (Packer's word), in its plain form and as it looks JSON-escaped,
/// shell-quoted, URL-encoded and base64-encoded; a multi-line secret also line by line (Packer 1.16).
/// Thread-safe. One per run, owned by cli, consulted by every renderer and log.
class Redactor {
 public:
  void add(std::string_view secret);  ///< empty strings are ignored
  std::string redact(std::string text) const;

 private:
  Guarded<std::vector<std::string>> forms_;  ///< longest first
};

}  // namespace kiln
