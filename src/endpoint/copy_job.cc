#include "endpoint/copy_job.h"

#include "base/error.h"
#include "base/file.h"
#include "endpoint/disks.h"

namespace kiln::ec2 {

namespace {

/// "" or what went wrong.
std::string complete_snapshot(State& state, const std::string& id, const TakenContent& taken) {
  auto lock = state.lock();
  Snapshot* found = state.find<Snapshot>(id);
  if (!found) {  // deleted while it was made
    sweep_snapshots(state);
    return "the snapshot " + id + " was deleted";
  }
  Snapshot snapshot = *found;
  snapshot.file = taken.file;
  snapshot.chain = taken.chain;
  snapshot.state = "completed";
  state.put(snapshot);
  return "";
}

/// "" or what went wrong.
std::string copy_part(State& state, Journal& journal, const CopyJob::Part& part, const Stop& stop) {
  Volume volume;
  {
    auto lock = state.lock();
    const Volume* found = state.find<Volume>(part.volume_id);
    if (!found) return "the volume " + part.volume_id + " is gone";
    volume = *found;
  }
  try {
    return complete_snapshot(state, part.snapshot_id,
                             take_content(state, volume, part.snapshot_id, journal, stop));
  } catch (const Error& error) {
    if (stop.requested()) throw;
    return error.message();
  }
}

void fail_snapshot(State& state, const std::string& id, const std::string& why) {
  auto lock = state.lock();
  Snapshot* found = state.find<Snapshot>(id);
  if (!found) return;
  Snapshot snapshot = *found;
  snapshot.state = "error";
  snapshot.state_message = why;
  state.put(snapshot);
}

}  // namespace

void copy_parts(State& state, Journal& journal, const CopyJob& job, const Stop& stop) {
  std::string why;
  for (const auto& part : job.parts) {
    std::string wrong = copy_part(state, journal, part, stop);
    if (wrong.empty()) continue;
    fail_snapshot(state, part.snapshot_id, wrong);
    why = wrong;
  }
  auto lock = state.lock();
  Image* found = state.find<Image>(job.image_id);
  if (!found) return;
  Image image = *found;
  image.state = why.empty() ? "available" : "failed";
  image.state_reason = why;
  state.put(image);
}

void finish_upload(State& state, Journal& journal, const std::string& snapshot_id, const Stop& stop) {
  try {
    complete_snapshot(state, snapshot_id, take_uploaded(state, snapshot_id, journal, stop));
  } catch (const Error& error) {
    if (stop.requested()) throw;
    fail_snapshot(state, snapshot_id, error.message());
  }
  std::error_code ignored;
  fs::remove(upload_file(state, snapshot_id), ignored);
}

void forget_unfinished(State& state) {
  const std::string why = "Server.InternalError: the endpoint ended while this was being made";
  for (auto [id, snapshot] : std::map(state.snapshots)) {
    if (snapshot.state != "pending") continue;
    snapshot.state = "error";
    snapshot.state_message = why;
    state.put(snapshot);
  }
  for (auto [id, image] : std::map(state.images)) {
    if (image.state != "pending") continue;
    image.state = "failed";
    image.state_reason = why;
    state.put(image);
  }
  for (auto [id, volume] : std::map(state.volumes)) {
    if (volume.state != "creating") continue;
    volume.state = "error";
    state.put(volume);
  }
  std::error_code error;
  for (const char* place : {"snapshots", "volumes"}) {
    for (const auto& entry : fs::directory_iterator(state.directory() / place, error)) {
      if (entry.path().extension() == ".part") fs::remove(entry.path(), error);
    }
  }
  sweep_snapshots(state);
}

}  // namespace kiln::ec2
