// What is wrong with a template as a whole, before any component is asked (packer-surface 3.3).
#pragma once
#include "lang/template.h"

namespace kiln {

/// Adds Packer's texts, each with its place: no builder, only/except/override naming builders that do not exist,
/// min_packer_version. Builder names are the raw, un-interpolated ones, as Packer's.
void check_template(const Template& parsed, const std::string& packer_version, Diagnostics& diagnostics);

}  // namespace kiln
