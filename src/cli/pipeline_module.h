// Modules of pipelines: other pipeline files, of this machine or of a git repository, at a commit that is locked.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "base/wait.h"
#include "lang/pipeline.h"

namespace kiln {

/// A source that is a git repository: "git::URL//SUBDIRECTORY?ref=REF"; the subdirectory and ref may be left out.
struct GitSource {
  std::string url;
  std::string subdirectory;
  std::string ref;  ///< branch, tag or commit; empty: the default branch
};
/// nullopt: it is a path. Pure.
std::optional<GitSource> parse_git_source(const std::string& source);

/// Commits of git sources, in a file beside the pipeline (docs/formats/modules.md): what was used stays the same
/// until someone asks for newer.
class ModuleLock {
 public:
  /// Throws Error{user} when the file is damaged or of a newer version.
  explicit ModuleLock(std::filesystem::path file);
  std::string commit(const std::string& source) const;  ///< empty: not locked yet
  /// Writes the file when that is news.
  void set(const std::string& source, const std::string& commit);
  /// "atlas.kiln.lock" beside "atlas.kiln.hcl".
  static std::filesystem::path beside(const std::filesystem::path& pipeline);

 private:
  std::filesystem::path file_;
  std::map<std::string, std::string> commits_;
};

/// Finds modules for the pipeline at `path`. `update`: refs are looked up anew. Git runs as a program of this machine;
/// clones lie below `cache`.
PipelineModuleFinder module_finder(const std::filesystem::path& pipeline, const std::filesystem::path& cache,
                                   bool update, const Stop& stop);

}  // namespace kiln
