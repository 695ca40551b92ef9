// The status lines at the bottom of a terminal: one a running build.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "core/event.h"

namespace kiln {

/// Keeps what each running build is doing and draws it. Pure but for the clock it is given; not thread-safe.
class LiveLines {
 public:
  /// Takes note of starts, steps, progress and ends; returns whether the picture changed.
  bool note(const Event& event, std::chrono::steady_clock::time_point now);
  /// The lines for a terminal `columns` wide, without the final newline of each; empty when nothing runs.
  std::vector<std::string> draw(size_t columns, std::chrono::steady_clock::time_point now) const;

 private:
  struct Build {
    std::string name;
    std::chrono::steady_clock::time_point started;
    std::string step;
    std::string moving;  ///< what is in transfer; empty: nothing
    uint64_t done = 0;
    uint64_t total = 0;
    std::chrono::steady_clock::time_point moving_since;
    uint64_t moving_from = 0;
  };
  void note_progress(Build& build, const Event& event, std::chrono::steady_clock::time_point now);
  static std::string describe(const Build& build, std::chrono::steady_clock::time_point now);

  std::vector<Build> running_;
};

/// At most `columns` characters of UTF-8 text, with "…" where something was cut off.
std::string fit_columns(const std::string& text, size_t columns);

}  // namespace kiln
