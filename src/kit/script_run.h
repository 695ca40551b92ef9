// What the provisioners that send scripts to a machine have in common (packer-surface 6.1, 6.4, 6.5): which
// scripts, trying again while the machine cannot be reached, running with the output shown, judging the exit
// status.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/communicator.h"
#include "core/stage_context.h"

namespace kiln {

/// The three ways to say what is to run.
struct ScriptChoice {
  const std::vector<std::string>& inline_lines;
  const std::string& script;
  const std::vector<std::string>& scripts;
};

/// The paths to run (`script` counts as one of `scripts`); mistakes are told in Packer's words.
std::vector<std::string> judge_scripts(const ScriptChoice& choice, const PrepareInput& input);

/// A raw option that is a template: its syntax, in Packer's words.
void check_raw_template(const std::string& option, const std::string& text, const PrepareInput& input);

/// Renders an option at run time. `what` is the context of the error.
std::string render_option(const std::string& text, const char* what, const Value& dot,
                          const StageContext& context);

/// The machine's build data as the dot of a template, with what a script's command adds.
Value command_dot(const StageContext& context, const std::map<std::string, std::string>& added);

/// What a script sees before its own variables: Packer's names of the build, the HTTP server's place.
std::map<std::string, std::string> standard_variables(const BuildInfo& build, const Value& build_data);

/// The name Packer shows for an inline script: that of its temporary file. The text never touches our disk,
/// the name stays for those who grep.
std::string shown_inline_name(const std::string& prefix);

/// How long lies between two tries.
constexpr std::chrono::nanoseconds retry_pause = std::chrono::seconds(2);

/// Repeats `body` while the machine cannot be reached, until the deadline; then the last failure counts.
template <class F>
auto retry_until(const Deadline& deadline, StageContext& context, F&& body) -> decltype(body()) {
  while (true) {
    try {
      return body();
    } catch (const Error& error) {
      bool may_pass = error.kind() == ErrorKind::remote || error.kind() == ErrorKind::timeout;
      if (!may_pass || deadline.left() <= std::chrono::duration_cast<Millis>(retry_pause)) throw;
      context.log.line("Retryable error: " + error.message());
    }
    sleep_for(retry_pause, context.stop);
  }
}

/// Runs a script's command, its output shown line by line. A command that said something before the line
/// broke has run and is never started again: disconnected_status.
int run_script_command(Communicator& communicator, const std::string& command, StageContext& context);

/// Throws Packer's sentence when `status` is not among the valid ones.
void require_valid_exit(int status, const std::vector<int>& valid);

}  // namespace kiln
