// The disks behind volumes and snapshots: qcow2 files, each an overlay of what it was made from, so that
// neither starting an instance nor making an image copies what is there already.
#pragma once
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/wait.h"
#include "core/journal.h"
#include "endpoint/state.h"

namespace kiln::ec2 {

std::filesystem::path volume_file(const State& state, const std::string& volume_id);
std::filesystem::path snapshot_file(const State& state, const std::string& file);

/// Makes a volume's file when it is not there: empty, or an overlay of its chain's first file. Throws Error.
/// No lock is held: `volume` is a copy.
void make_volume(const State& state, const Volume& volume, const Stop& stop);

/// Makes the file of a volume that no machine uses as large as the record says; does nothing when there is
/// none yet.
void resize_volume(const State& state, const Volume& volume, const Stop& stop);

/// Content that was taken from a volume.
struct TakenContent {
  std::string file;
  std::vector<std::string> chain;
};
/// Copies what a volume holds beyond its chain into a snapshot's file; a chain that has grown long is made
/// one file. The volume must not change meanwhile. Nothing half-written gets the final name.
TakenContent take_content(const State& state, const Volume& volume, const std::string& snapshot_id,
                          Journal& journal, const Stop& stop);

/// Brings a disk image of any format that qemu-img reads in, as a snapshot's file; returns its size in GiB,
/// rounded up.
int64_t import_disk(const State& state, const std::filesystem::path& image, const std::string& snapshot_id,
                    Journal& journal, const Stop& stop);

/// Writes a snapshot's whole content as one image of a format of qemu-img's; nothing half-written gets the name. No
/// lock is held: `snapshot` is a copy. Throws Error.
void export_disk(const State& state, const Snapshot& snapshot, const std::filesystem::path& to,
                 const std::string& format, Journal& journal, const Stop& stop);

/// Where a snapshot's content is put together that a client writes block by block: a raw image.
std::filesystem::path upload_file(const State& state, const std::string& snapshot_id);
/// Makes it the snapshot's file.
TakenContent take_uploaded(const State& state, const std::string& snapshot_id, Journal& journal,
                           const Stop& stop);

/// Deletes files once the state's changes are kept. Called with its lock held.
void remove_when_kept(State& state, std::vector<std::filesystem::path> files);

/// Deletes snapshots' files that no snapshot and no volume stands on any more. Called with the state's lock
/// held; takes in what other processes have written, so references to records are void afterwards.
void sweep_snapshots(State& state);

}  // namespace kiln::ec2
