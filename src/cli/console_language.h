// One language of the console: what a line means, and what could come next.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/command.h"
#include "cli/line_editor.h"
#include "cli/template_input.h"

namespace kiln {

class ConsoleLanguage {
 public:
  virtual ~ConsoleLanguage() = default;
  /// The text to show; nullopt when it was a mistake, which has been shown.
  virtual std::optional<std::string> evaluate(std::string_view line) = 0;
  /// Completions at the end of what stands before the cursor.
  virtual LineCompletions complete(std::string_view before) const = 0;
  /// What the exit code is after a mistake: Packer's differ.
  virtual int mistake_code() const = 0;

 protected:
  /// Those of `candidates` that go on from the word at the end of `before`, which starts at `begin`.
  static LineCompletions completions(std::string_view before, size_t begin, const std::vector<std::string>& candidates);
};

/// Packer's legacy templates: strings with {{...}}.
std::unique_ptr<ConsoleLanguage> make_json_console(Invocation& invocation, const CommandOptions& options,
                                                   const Template& parsed);
/// HCL expressions over variables and locals.
std::unique_ptr<ConsoleLanguage> make_hcl_console(Invocation& invocation, HclInput& input);

}  // namespace kiln
