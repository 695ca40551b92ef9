#include "core/undo.h"

#include "base/error.h"

namespace kiln {

void Undo::run(Outcome outcome, const std::function<void(const std::string&)>& report) {
  run_down_to(0, outcome, report);
}

void Undo::run_down_to(size_t keep, Outcome outcome, const std::function<void(const std::string&)>& report) {
  while (entries_.size() > keep) {
    Entry entry = std::move(entries_.back());
    entries_.pop_back();
    try {
      only_errors([&] { entry.action(outcome); });
    } catch (const Error& error) {
      report(entry.what + ": " + error.message());
    } catch (const std::exception& error) {
      report(entry.what + ": " + error.what());
    }
  }
}

}  // namespace kiln
