// `hcl2_upgrade`: a legacy JSON template written as HCL2 (packer-surface 3.9).
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lang/template.h"

namespace kiln {

struct Hcl2UpgradeOptions {
  bool with_annotations = false;
  /// Beside the builders of the plug-ins that the result requires, which are all taken to be there.
  std::function<bool(const std::string& type)> knows_builder;
};

struct Hcl2Upgrade {
  std::string text;                           ///< formatted HCL2
  std::vector<std::string> unknown_builders;  ///< their types, as often as they are used
};

/// The template as HCL2. `raw` is its JSON text: variables that are used in it without being declared are declared in
/// the result. Never fails: what cannot be translated stays as it is under a comment.
///
/// JSON does not tell a block from an attribute. As in Packer, an object is an attribute when all it holds are plain
/// values, else a block; a list of objects is a block for each.
Hcl2Upgrade upgrade_to_hcl2(const Template& parsed, const std::string& raw, const Hcl2UpgradeOptions& options);

}  // namespace kiln
