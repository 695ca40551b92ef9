// A plan as something to read: every build's steps in order, with what they are given and a key for each.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/plan.h"

namespace kiln {

/// One step of a build.
struct OutlinedStep {
  /// "source", "provisioner", "error-cleanup-provisioner", "post-processor"; in a pipeline also "test",
  /// "hand-on", "publish"
  std::string kind;
  std::string type;
  std::string name;
  Value options;     ///< as resolved while planning: what is known only later is "<unknown>" or {{.X}}
  /// SHA-256, in hex, of the step before and of this one's definition: kind, type, and the options that change the
  /// result (OptionDoc::in_key), as shown: a key must not help anybody to guess a secret. Files' contents are not in it
  /// yet. Empty: it has none.
  std::string key;
  /// Of the options those that make the result what it is: the keyed ones, and those that say where it is put.
  Value result_options;
  /// Of the options those that make the machine what it is after this step: not where the result is put, nor what is
  /// done to it at the end.
  Value state_options;
  std::string cache;  ///< "cached", or why its state is not used: "runs, because x.sh changed"; empty: not looked at
  std::vector<std::string> reads;  ///< local files and directories (maybe patterns) that options name
};

struct OutlinedBuild {
  std::string name;
  std::vector<OutlinedStep> steps;
  std::vector<std::string> left_out;  ///< steps that do not run for this build, each with why
};

/// What stands for a secret text in an outline.
using HideSecret = std::function<std::string(const std::string& secret)>;

/// Secrets become "<sensitive>", or what `hide` makes of them.
std::vector<OutlinedBuild> outline_plan(const Plan& plan, const Components& components, const HideSecret& hide = {});

/// Options as people may see them: strings rendered as far as `scope` goes, without what is secret: by its own nature,
/// by its option's, or as one of `secrets`.
Value outline_options(const Value& options, const std::vector<OptionDoc>& docs, const TemplateScope& scope,
                      const std::vector<std::string>& secrets, const HideSecret& hide = {});

/// {"builds": [{"name": ..., "steps": [{"kind": ..., "type": ..., "key": ..., "options": {...}}]}]}
Value outline_value(const std::vector<OutlinedBuild>& builds);

}  // namespace kiln
