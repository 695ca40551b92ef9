// Snapshots being made: what CreateImage and CreateSnapshot leave to be done.
#pragma once
#include <string>
#include <vector>

#include "core/journal.h"
#include "endpoint/state.h"

namespace kiln::ec2 {

/// Volumes of one instance (or of none) to be copied into snapshots, for an image or by themselves.
struct CopyJob {
  struct Part {
    std::string volume_id;
    std::string snapshot_id;
  };
  std::vector<Part> parts;
  std::string image_id;  ///< becomes available when all are done; "": none
  bool reboot = false;   ///< a running machine is shut down for it, and started again
};

/// Copies, and writes down how it went: snapshots become completed or error, the image available or failed.
/// No lock is held, and the volumes must not change meanwhile. Throws only Error{cancelled}.
void copy_parts(State& state, Journal& journal, const CopyJob& job, const Stop& stop);

/// Makes a snapshot of what a client has written block by block, and writes down how it went. Throws only
/// Error{cancelled}.
void finish_upload(State& state, Journal& journal, const std::string& snapshot_id, const Stop& stop);

/// What was being made when the endpoint died will not be: it is told as failed. Called with the state's lock
/// held.
void forget_unfinished(State& state);

}  // namespace kiln::ec2
