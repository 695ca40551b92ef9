#include "kit/lfs_pointer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr uintmax_t pointer_size_limit = 1024;
constexpr size_t pointers_named = 10;

void look_at(const fs::directory_entry& entry, std::vector<fs::path>& found) {
  std::error_code error;
  if (!entry.is_regular_file(error)) return;
  auto size = entry.file_size(error);
  if (error || size == 0 || size > pointer_size_limit) return;
  auto content = read_file_if_exists(entry.path());
  if (content && is_lfs_pointer(*content)) found.push_back(entry.path());
}

}  // namespace

bool is_lfs_pointer(std::string_view content) {
  if (content.size() > pointer_size_limit || !content.starts_with("version https://git-lfs")) return false;
  return contains(content, "\noid sha256:") && contains(content, "\nsize ");
}

std::vector<fs::path> find_lfs_pointers(const std::vector<fs::path>& paths, const Stop& stop) {
  std::vector<fs::path> found;
  for (const auto& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      look_at(fs::directory_entry(path, error), found);
      continue;
    }
    auto options = fs::directory_options::skip_permission_denied;
    for (fs::recursive_directory_iterator entry(path, options, error), end; entry != end;
         entry.increment(error)) {
      stop.check();
      look_at(*entry, found);
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

void refuse_lfs_pointers(const std::vector<fs::path>& paths, const Stop& stop) {
  auto found = find_lfs_pointers(paths, stop);
  if (found.empty()) return;
  std::string names;
  for (size_t i = 0; i < std::min(found.size(), pointers_named); ++i) names += "\n  " + found[i].string();
  if (found.size() > pointers_named) names += fmt::format("\n  and {} more", found.size() - pointers_named);
  throw Error(ErrorKind::user,
              fmt::format("{} a Git LFS pointer, not the content it stands for:{}\nRun `git lfs pull` in "
                          "the repository and build again.",
                          found.size() == 1 ? "this file is" : "these files are each", names));
}

}  // namespace kiln
