// goss's matchers: what is expected, as a gossfile writes it, held against what was found.
// Source of the rules: goss's documentation ("Matchers"), and how goss 0.4.9 behaves.
#pragma once
#include <string>
#include <vector>

#include "lang/value.h"

namespace kiln {

/// The outcome of one comparison. An error is no "no": `not` does not turn it round.
struct GossMatch {
  bool matched = false;
  std::string error;    ///< the comparison makes no sense (a list where a number is expected)
  std::string missing;  ///< of lists and patterns: which were not found
};

/// What is wrong with a matcher, at its place: unknown names, two matchers side by side, arguments of a wrong type.
void check_goss_matcher(const Value& expected, Diagnostics& diagnostics);

GossMatch match_goss(const Value& expected, const Value& actual);
/// Lines of a text against patterns: "text", "!text", "/regex/", "!/regex/"; each must be found in some line (or in
/// none).
GossMatch match_goss_patterns(const Value::List& patterns, const std::string& text);

/// Go's %v for scalars, lines for lists.
std::string goss_text(const Value& value);
/// As a person reads it: a plain scalar as it is, everything else as JSON.
std::string goss_shown(const Value& value);

/// Whether a version satisfies a range as ">1.0.0 <2.0.0 !=1.5.0 || 3.x". nullopt: one of them is no version.
std::optional<bool> satisfies_semver(const std::string& version, const std::string& range);

}  // namespace kiln
