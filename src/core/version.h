// Comparing versions, for min_packer_version.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace kiln {

/// <0, 0, >0 as `left` is older than, the same as, newer than `right`; nullopt when one is no version ("1.2",
/// "v1.2.3-beta1+meta"). A pre-release is older than its release; build metadata does not count.
std::optional<int> compare_versions(std::string_view left, std::string_view right);
bool is_version(std::string_view text);

}  // namespace kiln
