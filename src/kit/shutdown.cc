#include "kit/shutdown.h"

namespace kiln {

const OptionTable<ShutdownConfig>& shutdown_options() {
  static const OptionTable<ShutdownConfig> table = [] {
    OptionTable<ShutdownConfig> t;
    t.add(&ShutdownConfig::shutdown_command,
          {.name = "shutdown_command",
           .doc = "The command that shuts the machine down. Without one it is forced off.", .at_end = true});
    t.add(&ShutdownConfig::shutdown_timeout,
          {.name = "shutdown_timeout", .default_text = "5m", .doc = "How long the shutdown may take.", .at_end = true});
    return t;
  }();
  return table;
}

}  // namespace kiln
