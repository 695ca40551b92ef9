// Programs of this host that a component runs, so that nothing of them is left when Kiln is killed.
#pragma once
#include <filesystem>
#include <string>

#include "base/process.h"
#include "core/journal.h"
#include "core/stage_context.h"

namespace kiln {

/// run_streaming with an entry in the journal: whatever the program started is found by it. When it is
/// stopped or fails to start, its children are ended with it. `what` is how a person would call it.
ExitStatus run_journaled(Command command, const std::string& what, const Sink& out, const Sink& err,
                         const Deadline& deadline, StageContext& context);

/// A new directory for secrets (mode 0700), journaled, removed with everything in it at the end.
class PrivateDirectory {
 public:
  PrivateDirectory(const std::string& prefix, StageContext& context);
  ~PrivateDirectory();
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  Journal& journal_;
  std::filesystem::path path_;
  Resource resource_;
};

}  // namespace kiln
