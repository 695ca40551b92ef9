// The script that seals a machine, and what it says.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "provisioner/seal/config.h"

namespace kiln {

/// What the script depends on besides the options.
struct SealScript {
  const SealConfig& config;
  std::string public_key;  ///< the build's own: one line as in authorized_keys; empty: it has none
  std::string own_path;    ///< where the script lies on the machine; it removes itself. Empty: nowhere
  /// The directory that is taken for the machine's root. Not empty: no service is asked, no program of the machine run.
  std::string root;
};

/// One POSIX sh script, for busybox too. Pure.
std::string seal_script(const SealScript& script);

struct SealLeftover {
  std::string path;
  std::string what;  ///< "an ssh host key"
};

/// What a run of the script told.
struct SealReport {
  std::vector<std::string> done;
  std::vector<SealLeftover> leftovers;
  std::vector<std::string> notes;  ///< other lines: of programs it ran
  std::string refused;             ///< why it did nothing, like a lack of rights
  bool complete = false;           ///< it came to its end
};

/// `output`: all lines the script wrote. Pure.
SealReport read_seal_report(std::string_view output);

/// "the machine is not fit to be an image: ..." with every leftover. Pure.
std::string leftovers_text(const std::vector<SealLeftover>& leftovers);

}  // namespace kiln
