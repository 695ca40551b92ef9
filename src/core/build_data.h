// Packer's build data: what {{build `X`}} and {{.X}} know of the machine (packer-surface 3.8).
#pragma once
#include <string>
#include <vector>

#include "lang/value.h"

namespace kiln {

/// While preparing provisioners and post-processors: every common name and the builder's own, each as "{{.NAME}}".
Value placeholder_build_data(const std::vector<std::string>& builder_names);

/// At run time: the machine's data, with PackerRunUUID, and Packer's ERR_..._NOT_IMPLEMENTED_BY_BUILDER for what
/// every builder should tell and this one did not.
Value complete_build_data(Value machine_data, const std::string& run_id);

}  // namespace kiln
