#include "core/undo.h"

#include "base/error.h"

namespace kiln {

void Undo::run(Outcome outcome, const std::function<void(const std::string&)>& report) {
  while (!entries_.empty()) {
    Entry entry = std::move(entries_.back());
    entries_.pop_back();
    try {
      entry.action(outcome);
    } catch (const Error& error) {
      report(entry.what + ": " + error.message());
    }
  }
}

}  // namespace kiln
