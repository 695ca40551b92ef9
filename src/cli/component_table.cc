#include "cli/component_table.h"

#include "post_processor/shell_local/shell_local.h"
#include "provisioner/breakpoint/breakpoint.h"
#include "provisioner/shell/shell.h"
#include "provisioner/shell_local/shell_local.h"
#include "provisioner/sleep/sleep.h"

namespace kiln {

const Components& component_table() {
  static const Components table{
      {},
      {shell_provisioner(), shell_local_provisioner(), sleep_provisioner(), breakpoint_provisioner()},
      {shell_local_post_processor()},
  };
  return table;
}

}  // namespace kiln
