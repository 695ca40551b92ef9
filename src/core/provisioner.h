// The contract of provisioners.
#pragma once
#include "core/communicator.h"
#include "core/stage_context.h"

namespace kiln {

/// Contract: prepare() (twice under HCL2: before the run, and just before running with real build data), then
/// run(), which may be repeated by max_retries. It respects context.stop, which also carries `timeout`.
class Provisioner {
 public:
  virtual ~Provisioner() = default;
  virtual void prepare(const PrepareInput& input) = 0;
  virtual void run(Communicator& communicator, StageContext& context) = 0;
  /// Whether running it again takes less than keeping the state of the machine behind it. After prepare(); cheap.
  virtual bool is_quick() const { return false; }
};

}  // namespace kiln
