#include "core/state_plan.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "core/build_inputs.h"
#include "core/plan.h"

namespace kiln {

namespace {

constexpr const char* not_chosen = "its state is not kept (`cache = true` keeps it)";
constexpr const char* too_quick = "that takes less than keeping its state";

/// The last step is kept for itself alone.
void pass_quick_end(PlannedState& state, const PlannedProvisioner& provisioner) {
  bool as_usual = !provisioner.declaration.cache && state.max_age.count() == 0 && state.passed.empty();
  if (as_usual && provisioner.component->is_quick()) state.passed = too_quick;
}

/// What the key of a state is made of, for people: with the steps that it was passed through since the one before.
Value document_with(Value::List passed, const Value& sources, Value document) {
  if (passed.empty()) return document;
  if (const Value* own = document.find("steps")) {
    for (const auto& step : own->as_list()) passed.push_back(step);
  }
  document.set("steps", Value(std::move(passed)));
  document.set("sources", sources);
  return document;
}

std::string too_old(const PlannedState& planned, const MachineState& state) {
  if (planned.max_age.count() == 0 || std::chrono::system_clock::now() - state.made <= planned.max_age)
    return "";
  return fmt::format("it is older than its max_age of {}", format_go_duration(planned.max_age));
}

}  // namespace

std::vector<PlannedState> planned_states(const Stage& stage, const OutlinedBuild& outline,
                                         const std::map<std::string, std::string>& sources,
                                         FileDigests& digests) {
  std::vector<PlannedState> out;
  const bool chosen_only = stage.builder && stage.builder->keeps_chosen_states();
  Value::List passed;  // steps since the last state that is kept
  Value sources_passed;
  for (auto& state : state_keys(outline, sources, digests)) {
    size_t number = out.size();
    PlannedState planned{
        std::move(state.key), std::move(state.document), "boot", "the start of the machine", true, chosen_only ? not_chosen : "", {}};
    if (number > 0) {
      const auto& declaration = stage.provisioners.at(number - 1).declaration;
      planned.step = declaration.type;
      planned.what = fmt::format(
          "provisioner {} (step {})",
          declaration.name.empty() ? declaration.type : declaration.type + " " + go_quote(declaration.name),
          number + 1);
      planned.keep = declaration.cache.value_or(true);
      if (declaration.cache) planned.passed.clear();
      planned.max_age = declaration.max_age;
    }
    if (!planned.passed.empty()) {
      if (passed.empty()) sources_passed = *planned.document.find("sources");
      for (const auto& step : planned.document.find("steps")->as_list()) passed.push_back(step);
    } else {
      planned.document = document_with(std::exchange(passed, {}), sources_passed, std::move(planned.document));
    }
    out.push_back(std::move(planned));
  }
  if (out.size() > 1) pass_quick_end(out.back(), stage.provisioners.at(out.size() - 2));
  return out;
}

size_t next_kept(const StatePlan& plan, size_t index) {
  while (index < plan.states.size() && !plan.states[index].passed.empty()) ++index;
  return index;
}

StateReach reach_of(const StatePlan& plan) {
  StateReach out;
  bool gap = false;  // behind the last state that may be used
  for (size_t i = 0; i < plan.states.size(); ++i) {
    const PlannedState& planned = plan.states[i];
    if (!planned.passed.empty() && i < plan.rebuild_from) continue;
    bool barred = !planned.keep || i >= plan.rebuild_from;
    StateCache::Found found;
    if (!barred) found = plan.cache->find(planned.key);
    std::string why = !planned.keep ? "its block says cache = false"
                      : barred      ? "it is to be made anew"
                      : found.state ? too_old(planned, *found.state)
                                    : found.why_not;
    if (found.state && why.empty()) {
      out.index = i;
      out.state = std::move(found.state);
      out.why_not_next.clear();
      gap = false;
      continue;
    }
    if (!std::exchange(gap, true))
      out.why_not_next =
          !why.empty() ? why : join(why_state_is_missing(plan, i, plan.explain ? 100 : 3), ", ");
    if (!why.empty()) break;  // nothing behind it counts
  }
  return out;
}

std::vector<std::string> why_state_is_missing(const StatePlan& plan, size_t index, size_t most) {
  const PlannedState& wanted = plan.states[index];
  const MachineState* before = nullptr;
  auto all = plan.cache->list();
  size_t first = index;  // that the state before has not seen
  while (first > 0 && !plan.states[first - 1].passed.empty()) --first;
  const std::string parent_key = first == 0 ? "" : plan.states[first - 1].key;
  for (const auto& state : all) {
    // The same step of the same line, made last.
    bool same_place = state.number == index && state.parent == parent_key;
    if (same_place && (!before || state.made > before->made)) before = &state;
  }
  if (!before) return {};
  auto out = input_differences(before->document, wanted.document, most, first + 1);
  std::string itself =
      fmt::format("provisioner {} (step {}): ", wanted.step, index + 1);  // that is said already
  for (auto& sentence : out) {
    if (sentence.starts_with(itself)) sentence.erase(0, itself.size());
  }
  return out;
}

}  // namespace kiln
