#include <fmt/format.h>

#include "cli/command.h"

namespace kiln {

int run_version(Invocation& invocation, CommandOptions&, const std::vector<std::string>&) {
  Ui ui = invocation.ui();
  ui.machine("version", {packer_version});
  ui.machine("version-prelease", {""});
  ui.machine("version-commit", {""});
  if (invocation.as_packer())
    ui.say(fmt::format("Packer v{}", packer_version));
  else
    ui.say(fmt::format("Kiln v{} (Packer {} compatible)", KILN_VERSION, packer_version));
  return 0;
}

}  // namespace kiln
