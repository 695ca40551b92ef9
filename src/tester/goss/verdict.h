// What a machine answered, held against what a gossfile expects.
#pragma once
#include <vector>

#include "core/tester.h"
#include "tester/goss/probe.h"

namespace kiln {

/// What was found of one attribute.
struct GossFound {
  Value value;
  bool text = false;    ///< lines of text: a list expected of them is a list of patterns
  std::string error;    ///< it could not be told
};
GossFound find_goss_attribute(const GossResource& resource, const std::string& attribute, const GossRecord& record,
                              const GossRecord& machine);

/// One result an expectation, in their order. When the first does not hold or says that the thing is not there, the
/// others are skipped, as goss does.
std::vector<CheckResult> judge_goss(const GossResource& resource, const GossRecord& record, const GossRecord& machine);

}  // namespace kiln
