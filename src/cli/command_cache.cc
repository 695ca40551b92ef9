// cache: the states of machines that were kept, and looking after them.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/image_text.h"
#include "cli/signals.h"
#include "cli/state_planning.h"
#include "cli/template_input.h"
#include "cli/text_table.h"

namespace kiln {

namespace {

constexpr size_t shown_digits = 12;

std::string short_key(const MachineState& state) { return state.key.substr(0, shown_digits); }

std::string step_text(const MachineState& state) {
  if (state.number == 0) return "boot";
  return fmt::format("{} (step {}){}", state.step, state.number + 1, state.failed ? ", failed" : "");
}

/// Removing a state does not reach what it has elsewhere.
void say_left_outside(const std::vector<MachineState>& removed, const Ui& ui) {
  for (const auto& state : removed) {
    if (std::string outside = state_detail(state, "outside"); !outside.empty())
      ui.say(fmt::format("{} is no longer used: `kiln gc -aws` removes it", outside));
  }
}

/// Those of `before` that are gone.
std::vector<MachineState> missing_of(const std::vector<MachineState>& before, const std::vector<MachineState>& now) {
  std::vector<MachineState> out;
  for (const auto& state : before) {
    bool there = std::any_of(now.begin(), now.end(), [&](const auto& one) { return one.instance == state.instance; });
    if (!there) out.push_back(state);
  }
  return out;
}

uint64_t total_bytes(const std::vector<MachineState>& states) {
  uint64_t out = 0;
  for (const auto& state : states) out += state.bytes;
  return out;
}

Value state_value(const MachineState& state) {
  Value out = Value::empty_object();
  out.set("key", state.key);
  out.set("parent", state.parent.empty() ? Value() : Value(state.parent));
  out.set("builder_type", state.builder_type);
  out.set("build", state.build);
  out.set("step", state.step);
  out.set("number", static_cast<int64_t>(state.number));
  out.set("failed", state.failed);
  out.set("bytes", static_cast<int64_t>(state.bytes));
  out.set("cost_seconds",
          Value(Number{fmt::format("{:.3f}", std::chrono::duration<double>(state.cost).count())}));
  out.set("made", format_rfc3339_utc(state.made));
  out.set("used", format_rfc3339_utc(state.used));
  out.set("details", state.details);
  out.set("inputs", state.document);
  return out;
}

/// Those that keys or beginnings of keys mean. Throws for the first that means none or several.
std::vector<MachineState> states_of(const std::vector<MachineState>& all,
                                    const std::vector<std::string>& keys) {
  std::vector<MachineState> out;
  for (const auto& key : keys) {
    std::vector<MachineState> found;
    std::copy_if(all.begin(), all.end(), std::back_inserter(found),
                 [&](const auto& state) { return state.key.starts_with(key); });
    if (found.empty())
      throw Error(ErrorKind::user,
                  fmt::format("no state {}: `kiln cache ls` shows what there is", go_quote(key)));
    if (found.size() > 1)
      throw Error(ErrorKind::user,
                  fmt::format("{} states begin with {}: give more of the key", found.size(), go_quote(key)));
    out.push_back(std::move(found[0]));
  }
  return out;
}

/// What the cache does for one build, step by step.
std::string why_text(const Stage& stage) {
  const StatePlan& plan = *stage.states;
  auto fates = fates_of_states(plan);
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < plan.states.size(); ++i) {
    const PlannedState& state = plan.states[i];
    rows.push_back({state.key.substr(0, shown_digits), fmt::format("{}", i + 1), i == 0 ? "boot" : state.step,
                    fates[i]});
  }
  return stage.info.display_name + "\n" + text_table(rows, "  ");
}

}  // namespace

int run_cache(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  Ui ui = invocation.ui();
  auto states = open_state_cache(state_cache_directory())->list();
  if (options.json) {
    Value::List list;
    for (const auto& state : states) list.push_back(state_value(state));
    Value out = Value::empty_object();
    out.set("states", list);
    ui.say(to_json(out));
    return 0;
  }
  if (states.empty()) {
    ui.say(fmt::format("No states in {}.", state_cache_directory().string()));
    return 0;
  }
  auto now = std::chrono::system_clock::now();
  std::vector<std::vector<std::string>> rows{{"KEY", "BUILD", "AFTER", "TOOK", "SIZE", "USED"}};
  for (const auto& state : states) {
    auto cost = std::chrono::duration_cast<std::chrono::milliseconds>(state.cost);
    std::string outside = state_detail(state, "outside");
    rows.push_back({short_key(state), state.build, step_text(state), format_go_duration(cost),
                    outside.empty() ? format_bytes(state.bytes) : outside, age_text(state.used, now)});
  }
  ui.say(text_table(rows) + fmt::format("{}, {} of {} in {}", counted(states.size(), "state"),
                                        format_bytes(total_bytes(states)), format_bytes(state_cache_budget()),
                                        state_cache_directory().string()));
  return 0;
}

int run_cache_why(Invocation& invocation, CommandOptions& options,
                  const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  options.force = true;  // a result that is there is in nobody's way: nothing is built
  auto loaded = load_template(invocation, options, arguments[0], DataSources::run);
  if (!loaded) return 1;
  Diagnostics diagnostics;
  Plan plan = plan_template(invocation, options, *loaded, diagnostics);
  if (diagnostics.has_errors()) {
    invocation.ui().error(mistakes_text(*loaded, diagnostics));
    return 1;
  }
  options.explain = true;
  if (!plan_states(invocation, options, arguments[0], plan)) return 1;
  std::string out;
  for (const auto& stage : plan.stages) {
    if (std::string why = stage.builder->keeps_no_states(); !why.empty()) {
      out += fmt::format("{}\n  No states of its machine are kept: {}.\n", stage.info.display_name, why);
    } else if (stage.states) {
      out += why_text(stage);
    }
  }
  invocation.ui().say(std::string(trim_right(out)));
  return 0;
}

int run_cache_gc(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  auto cache = open_state_cache(state_cache_directory());
  uint64_t budget = options.all ? 0 : state_cache_budget();
  auto removed = cache->trim(budget);
  auto left = cache->list();
  for (const auto& state : removed) {
    invocation.ui().say(fmt::format("Removed {} ({}, {}, {})", short_key(state), state.build,
                                    step_text(state), format_bytes(state.bytes)));
  }
  say_left_outside(removed, invocation.ui());
  invocation.ui().say(fmt::format("{} removed, {} freed; {} left, {} of {}.",
                                  counted(removed.size(), "state"), format_bytes(total_bytes(removed)),
                                  counted(left.size(), "state"), format_bytes(total_bytes(left)),
                                  format_bytes(state_cache_budget())));
  return 0;
}

int run_cache_rm(Invocation& invocation, CommandOptions&, const std::vector<std::string>& arguments) {
  if (arguments.empty()) return show_help;
  auto cache = open_state_cache(state_cache_directory());
  bool all = true;
  const auto before = cache->list();
  for (const auto& state : states_of(before, arguments)) {
    bool gone = cache->remove(state.key);
    all &= gone;
    if (gone)
      invocation.ui().say(fmt::format("Removed {} ({}, {}) and what builds on it", short_key(state),
                                      state.build, step_text(state)));
    else
      invocation.ui().error(
          fmt::format("{} ({}, {}) is in use", short_key(state), state.build, step_text(state)));
  }
  say_left_outside(missing_of(before, cache->list()), invocation.ui());
  return all ? 0 : 1;
}

int run_cache_verify(Invocation& invocation, CommandOptions&, const std::vector<std::string>& arguments) {
  Ui ui = invocation.ui();
  auto cache = open_state_cache(state_cache_directory());
  Stop stop;
  SignalWatch signals(stop, [&](const std::string& name) { ui.say("Cancelling after receiving " + name); });
  auto states = cache->list();
  if (!arguments.empty()) states = states_of(states, arguments);
  size_t damaged = 0;
  for (size_t i = 0; i < states.size(); ++i) {
    ui.progress("states", i, states.size());
    auto damage = cache->verify(states[i], stop);
    damaged += damage.empty() ? 0 : 1;
    for (const auto& one : damage)
      ui.error(fmt::format("{} ({}, {}): {}", short_key(states[i]), states[i].build, step_text(states[i]),
                           one.what));
    if (!damage.empty() && !cache->remove(states[i].key)) ui.error("It is in use, and stays.");
  }
  ui.say(fmt::format("{}: {}", counted(states.size(), "state"),
                     damaged == 0 ? "all whole" : fmt::format("{} damaged and removed", damaged)));
  return damaged == 0 ? 0 : 1;
}

}  // namespace kiln
