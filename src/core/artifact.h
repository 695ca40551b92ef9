// What a build leaves behind.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "lang/value.h"

namespace kiln {

/// An artifact, as Packer shows it. A plain value; `destroy` removes what it stands for (may throw Error).
struct Artifact {
  std::string builder_id;          ///< "transcend.qemu"
  std::string id;                  ///< what is handed on; may be empty
  std::string description;         ///< Packer's String(): "VM files in directory: output-qemu"
  std::vector<std::string> files;  ///< paths
  Value state;                     ///< object: "generated_data" and what a post-processor may ask for
  std::function<void()> destroy = [] {};
};

}  // namespace kiln
