// Small rules that the files of packer_hcl share.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "lang/diagnostic.h"
#include "lang/hcl_value.h"

namespace kiln {

/// `{}` or `[]`: a default that says nothing of the type.
bool is_empty_collection(const HclValue& value);
/// Starts with a capital (where the script has them) and ends with ".", "?" or "!".
bool looks_like_sentences(std::string_view text);
/// What is wrong with a plug-in's source address ("github.com/hashicorp/qemu"), or nothing (packer-surface 1.8).
std::optional<std::string> plugin_source_error(std::string_view source);

}  // namespace kiln
