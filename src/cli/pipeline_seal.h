// What a stage's `seal` does: the machines of its builds are sealed before they become images.
#pragma once
#include "lang/pipeline.h"
#include "lang/template.h"

namespace kiln {

/// What the stage says; by default a build that is written in the pipeline is sealed, a template of its own is not.
bool wants_seal(const StageSettings& settings, bool inline_build);

/// Puts the seal provisioner behind the others of each build, for the sources that make a Linux machine: builders null
/// and file make none, and one that is entered by winrm or not at all cannot be sealed. A build that has a seal
/// provisioner already stays as it is.
void seal_builds(Template& parsed);

}  // namespace kiln
