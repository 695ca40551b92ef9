// Small rules that the files of packer_hcl share.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "lang/diagnostic.h"
#include "lang/hcl_ast.h"
#include "lang/hcl_value.h"

namespace kiln {

/// `{}` or `[]`: a default that says nothing of the type.
bool is_empty_collection(const HclValue& value);
/// Starts with a capital (where the script has them) and ends with ".", "?" or "!".
bool looks_like_sentences(std::string_view text);

/// 3 to 36 ASCII letters, digits and hyphens.
bool is_bucket_name(std::string_view text);
/// hcp_packer_registry: checked as Packer does, and without effect (packer-surface 5.11).
void check_hcp_registry(const HclBlock& block, Diagnostics& diagnostics);

}  // namespace kiln
