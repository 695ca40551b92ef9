// How a machine is switched off at the end (packer-surface 7.4).
#pragma once
#include "lang/option.h"

namespace kiln {

struct ShutdownConfig {
  std::string shutdown_command;  ///< empty: the machine is forced off
  Duration shutdown_timeout = std::chrono::minutes(5);
};
const OptionTable<ShutdownConfig>& shutdown_options();

}  // namespace kiln
