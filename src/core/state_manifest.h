// A machine state's manifest, state.json: docs/formats/states.md.
#pragma once
#include <map>
#include <string>

#include "core/image_objects.h"
#include "core/state_cache.h"

namespace kiln {

/// A file as it was when the state was made.
struct StateFile {
  FileStamp stamp;
  std::string digest;  ///< sha256, hex; empty: only the stamp is known
};

struct StateManifest {
  MachineState state;
  std::map<std::string, StateFile> files;    ///< within its directory
  std::map<std::string, StateFile> layers;   ///< its own
  std::map<std::string, StateFile> depends;  ///< by absolute path
};

std::string manifest_text(const StateManifest& manifest);
/// Throws Error{environment} when it is none, or of another version.
StateManifest parse_manifest(const std::string& text, const std::string& name);

}  // namespace kiln
