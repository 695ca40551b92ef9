// A tunnel to a port of an instance by AWS's Session Manager: no address and no open port are needed.
#pragma once
#include <memory>
#include <string>

#include "builder/amazon/running.h"

namespace kiln::amazon {

/// Starts AWS's session-manager-plugin and waits until its local port answers: that port. Journaled; ended by the undo
/// list. Throws Error{environment} when the program is missing.
int open_session_tunnel(const std::shared_ptr<Running>& running, int remote_port, StageContext& context);

/// Whether a version of the program ("1.2.553.0") takes the session's token by its environment. Pure.
bool plugin_reads_environment(const std::string& version);

}  // namespace kiln::amazon
