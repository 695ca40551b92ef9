// Snapshots of volumes: made, waited for, and taken back when a build fails.
#pragma once
#include <memory>
#include <string>

#include "builder/amazon/running.h"

namespace kiln::amazon {

struct MadeSnapshot {
  std::string id;  ///< empty until AWS has told it
};

/// Starts a snapshot; journaled, deleted again unless the build succeeds.
std::shared_ptr<MadeSnapshot> start_snapshot(const std::shared_ptr<Running>& running, const std::string& volume_id,
                                             const std::string& description, const Tags& tags, StageContext& context);
/// Waits until it is whole. Hours are given, as to images.
void wait_for_snapshot(Running& running, const MadeSnapshot& snapshot, StageContext& context);
/// "Packer: 2026-11-27T10:00:00Z"
std::string default_snapshot_description();

}  // namespace kiln::amazon
