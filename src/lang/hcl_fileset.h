// Paths as Go's path/filepath has them, and the patterns of fileset().
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::hcl_fn {

/// filepath.Clean, Base, Dir.
std::string clean_path(std::string_view path);
std::string base_of_path(std::string_view path);
std::string directory_of_path(std::string_view path);
/// `path` seen from `base`, cleaned; an absolute one as it is.
std::string join_path(const std::string& base, const std::string& path);
/// filepath.Rel for two cleaned paths that both are absolute or both are not.
std::string relative_path(const std::string& base, const std::string& path);

/// Does a path match a pattern? "*" and "?" stay within a part, "**" alone stands for any number of parts,
/// [a-z] and
/// [^a] for a character, {a,b} for either, "\" takes its meaning from a character. Throws Error "syntax error
/// in pattern" when the path gets to where the pattern is wrong (bmatcuk/doublestar's documentation).
bool match_file(std::string_view pattern, std::string_view path);
/// All regular files that match a cleaned pattern. `list` names those below a directory, relative to it.
std::vector<std::string> match_files(const std::string& pattern,
                                     const std::function<std::vector<std::string>(const std::string&)>& list);

}  // namespace kiln::hcl_fn
