#include "kit/guest_errand.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "kit/guest_script.h"
#include "kit/script_run.h"

namespace kiln {

const OptionTable<ErrandConfig>& errand_options() {
  static const OptionTable<ErrandConfig> table = [] {
    OptionTable<ErrandConfig> made;
    made.add(&ErrandConfig::execute_command,
             {.name = "execute_command",
              .default_text = "sh {{.Path}}",
              .doc = "The command that runs the tester's script in the machine: a template over .Path and build data. "
                     "\"sudo sh {{.Path}}\" asks as root.",
              .raw = true});
    made.add(&ErrandConfig::remote_folder,
             {.name = "remote_folder", .default_text = "/tmp", .doc = "Remote directory for that script."});
    return made;
  }();
  return table;
}

void check_errand(const ErrandConfig& config, const PrepareInput& input) {
  check_raw_template("execute_command", config.execute_command, input);
}

int run_errand(Communicator& communicator, const ErrandConfig& config, const std::string& text, const Sink& out,
               const Sink& err, const Deadline& deadline, StageContext& context) {
  if (communicator.speaks_windows()) {
    throw Error(ErrorKind::user, "this tester asks by a Unix shell; the machine is a Windows");
  }
  std::string path = fmt::format("{}/kiln-ask-{}.sh", config.remote_folder, hex_encode(random_bytes(8)));
  // The shell holds the script open, its name is not needed any more.
  std::string whole = "case $0 in */kiln-ask-*) rm -f \"$0\" ;; esac\n" + text;
  during("Error sending the tester's script",
         [&] { upload_text(communicator, path, whole, 0700, deadline, context.stop); });
  std::string command =
      render_option(config.execute_command, "execute_command", command_dot(context, {{"Path", path}}), context);
  int status = communicator.run(command, out, err, deadline, context.stop);
  if (status == disconnected_status) throw Error(ErrorKind::remote, "the machine went away while it was tested");
  return status;
}

}  // namespace kiln
