// A script of ours that goes into the machine, says what it has to say, and leaves nothing: how testers ask.
#pragma once
#include <string>

#include "core/communicator.h"
#include "core/stage_context.h"
#include "lang/option.h"

namespace kiln {

/// The options of every component that sends one: as whom it runs, and where it lies meanwhile.
struct ErrandConfig {
  std::string execute_command = "sh {{.Path}}";
  std::string remote_folder = "/tmp";
};
const OptionTable<ErrandConfig>& errand_options();
/// The command's syntax, told in Packer's words.
void check_errand(const ErrandConfig& config, const PrepareInput& input);

/// Sends the text (POSIX shell, for busybox's too), runs it, hands over its output as it comes; its exit status.
/// Throws Error when the machine cannot be reached or goes away.
int run_errand(Communicator& communicator, const ErrandConfig& config, const std::string& text, const Sink& out,
               const Sink& err, const Deadline& deadline, StageContext& context);

}  // namespace kiln
