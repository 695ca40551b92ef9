// The ssh communicator: waiting for a machine's sshd, then commands and transfers over one connection.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "communicator/ssh/config.h"
#include "core/communicator.h"
#include "core/stage_context.h"

namespace kiln {

struct SshTarget {
  std::string host;
  int port = 22;
};

/// Where to connect, once it is known; asked again before every attempt (about every 0.2 s) while waiting. It
/// must not block. What it throws ends the waiting (the machine died, say).
using SshTargetResolver = std::function<std::optional<SshTarget>()>;

/// Waits until ssh works and returns the connection. Says what Packer says: "Using SSH communicator to
/// connect: H", "Waiting for SSH to become available...", "Connected to SSH!". Honours
/// pause_before_connecting. Gives up when ssh_timeout has passed: Error{timeout} whose first line is "Timeout
/// waiting for SSH." and whose further lines say which phase failed last (tcp, banner, key exchange,
/// authentication with user, methods and key). The same text is emitted as an error event. `private_key` is
/// the text of a key made for this build (beside config's own).
std::unique_ptr<Communicator> connect_ssh(const CommunicatorConfig& config, const SshTarget& target,
                                          StageContext& context,
                                          const std::optional<std::string>& private_key = {});
std::unique_ptr<Communicator> connect_ssh(const CommunicatorConfig& config, const SshTargetResolver& resolver,
                                          StageContext& context,
                                          const std::optional<std::string>& private_key = {});

/// ssh_clear_authorized_keys: removes the lines that end in temporary_key_pair_name from the authorized_keys
/// of the user and of root. To be called after the last provisioner; does nothing unless both options are
/// set. What cannot be removed is logged, never an error.
void remove_temporary_key(const CommunicatorConfig& config, Communicator& communicator,
                          StageContext& context);
/// The lines whose comment is `name`, likewise; nothing when it is empty.
void remove_key_lines(const std::string& name, Communicator& communicator, StageContext& context);

}  // namespace kiln
