// Runs a build's provisioners with what may be wrapped around each (packer-surface 3.6): pause_before, timeout,
// max_retries, continue_on_error.
#pragma once
#include <functional>
#include <vector>

#include "core/plan.h"

namespace kiln {

/// Readies a provisioner with the machine's data, just before it runs. Throws Error.
using PrepareProvisioner = std::function<void(PlannedProvisioner&)>;

/// What is done around each of them.
struct AroundProvisioners {
  size_t first = 0;  ///< those before it are done already
  /// Runs the one of that number, within a context like the given one.
  std::function<void(size_t index, const std::function<void(StageContext&)>& run)> each;
};

/// Runs them one after the other; the first that fails ends it with its Error. With -debug it asks before each.
void run_provisioners(std::vector<PlannedProvisioner>& provisioners, Communicator& communicator,
                      StageContext& context, const PrepareProvisioner& prepare, const AroundProvisioners& around = {});

/// One provisioner with everything around it. After retries the error is that of the first try (as Packer's).
/// A timeout asks the provisioner to stop through its context's Stop; the stage's own goes on.
void run_provisioner(PlannedProvisioner& planned, Communicator& communicator, StageContext& context,
                     const PrepareProvisioner& prepare);

/// Asks in -debug ("QUESTION Press enter to continue. "); where nobody can answer it goes on, as Packer does.
void debug_pause(StageContext& context, const std::string& what);

}  // namespace kiln
