// What rspec told line by line, as results.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "core/tester.h"

namespace kiln {

/// Reads rspec's output with our formatter's lines in it (ruby.h).
class RspecReader {
 public:
  /// `directory` is where rspec runs, as the person named it: places are told from there.
  RspecReader(std::string nonce, std::string directory, std::function<void(CheckResult)> tell, std::function<void(std::string_view)> other);
  void line(std::string_view line);
  /// The formatter's last line came: rspec went through to its end.
  bool complete() const { return complete_; }

 private:
  std::string mark_;
  std::string directory_;
  std::function<void(CheckResult)> tell_;
  std::function<void(std::string_view)> other_;
  bool complete_ = false;
};

}  // namespace kiln
