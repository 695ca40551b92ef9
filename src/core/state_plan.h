// What a stage does with the cache of machine states: decided before it runs.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/image_store.h"
#include "core/state_cache.h"

namespace kiln {

/// A state that a stage passes through: the machine when it is up, then after each provisioner.
struct PlannedState {
  std::string key;
  Value document;
  std::string step;                     ///< "boot", or the provisioner's type
  std::string what;                     ///< for people: "provisioner shell (step 2)"
  bool keep = true;                     ///< neither it nor anything after it is kept when false
  std::string passed;                   ///< why it is not kept, though those after it may be; empty: it is
  std::chrono::nanoseconds max_age{0};  ///< 0: for ever
};

/// A plain value, shared by all who ask.
struct StatePlan {
  std::shared_ptr<StateCache> cache;
  std::vector<PlannedState> states;
  size_t rebuild_from = SIZE_MAX;  ///< states from this one on are made anew
  /// Where finished images are kept, to be handed out when nothing at all changed; none: they are not.
  std::shared_ptr<ImageStore> images;
  std::string result_key;
  Value result_inputs;
  bool read_only = false;  ///< states are used, none is made: a throw-away fork
  bool explain = false;    ///< says all that changed
};

struct Stage;
struct OutlinedBuild;

/// The states of a stage. Reads the files that options name. Throws Error when one cannot be read.
std::vector<PlannedState> planned_states(const Stage& stage, const OutlinedBuild& outline,
                                         const std::map<std::string, std::string>& sources,
                                         FileDigests& digests);

/// The first state from `index` on that is kept: states.size() when there is none.
size_t next_kept(const StatePlan& plan, size_t index);

/// How far the cache reaches: the last state of the chain that may be used, and why not a later one.
struct StateReach {
  std::optional<size_t> index;
  std::optional<MachineState> state;
  std::string why_not_next;  ///< "scripts/app.sh changed"; empty: the chain ends there
};
/// Cheap: looks at manifests and time stamps only.
StateReach reach_of(const StatePlan& plan);
/// What is different about a state that is not there from the newest that was made at its place. Empty: none
/// was.
std::vector<std::string> why_state_is_missing(const StatePlan& plan, size_t index, size_t most);

}  // namespace kiln
