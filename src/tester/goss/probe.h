// Everything that a gossfile asks of a machine, in one shell script, and its answer taken apart again.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tester/goss/resource.h"

namespace kiln {

/// What the machine said of one resource (or of itself): field -> text, as it came.
using GossRecord = std::map<std::string, std::string>;

/// A script for any POSIX shell (busybox's too). It prints fields between marks that carry `nonce`, a word that no
/// answer contains; it leaves nothing behind. Resources that are skipped or need no machine are
/// left out.
std::string goss_script(const std::vector<GossResource>& resources, const std::string& nonce);

/// How long the script may take at most, in milliseconds: what its parts may, and more.
int64_t goss_script_budget_ms(const std::vector<GossResource>& resources);

/// Takes the script's output as it comes.
class GossAnswers {
 public:
  /// `done(index, record)` is called as soon as the record of resources[index] is complete.
  GossAnswers(std::string nonce, std::function<void(size_t, const GossRecord&)> done);
  void feed(std::string_view bytes);
  /// The answer came to its end.
  bool complete() const { return complete_; }
  /// What belongs to no resource: passwd, group, mountinfo, ...
  const GossRecord& machine() const { return machine_; }

 private:
  void begin_field();
  std::string mark_;
  std::function<void(size_t, const GossRecord&)> done_;
  std::string pending_;
  size_t searched_ = 0;  ///< no mark begins before this in `pending_`
  std::string field_;  ///< the name of the one whose text is coming; empty before the first mark
  GossRecord machine_, record_;
  bool complete_ = false;
};

}  // namespace kiln
