#include "core/tester.h"

#include <algorithm>

namespace kiln {

const char* to_string(CheckStatus status) {
  switch (status) {
    case CheckStatus::passed: return "passed";
    case CheckStatus::failed: return "failed";
    case CheckStatus::skipped: return "skipped";
  }
  return "failed";
}

bool TestReport::passed() const { return !checks.empty() && count(CheckStatus::failed) == 0; }

size_t TestReport::count(CheckStatus status) const {
  return static_cast<size_t>(
      std::count_if(checks.begin(), checks.end(), [&](const CheckResult& check) { return check.status == status; }));
}

void emit_check(const Ui& ui, const CheckResult& result) {
  Event event;
  event.kind = EventKind::check;
  event.stage = ui.stage();
  event.type = to_string(result.status);
  event.text = result.group.empty() ? result.name : result.group + " " + result.name;
  event.data = {result.message, result.expected, result.found, result.place};
  event.duration = result.duration;
  ui.sink().emit(event);
}

}  // namespace kiln
