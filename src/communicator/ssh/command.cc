#include "communicator/ssh/command.h"

#include "base/error.h"
#include "core/communicator.h"

namespace kiln {

SshCommand::SshCommand(SshSession& session, const std::string& command, const Deadline& deadline,
                       const Stop& stop, bool subsystem)
    : session_(session), deadline_(deadline), stop_(stop) {
  channel_ = session.exec({command, false, subsystem}, deadline, stop);
}

bool SshCommand::more() {
  while (channel_->out.empty()) {
    if (channel_->closed() || channel_->remote_eof()) return false;
    if (session_.wait(deadline_, stop_) == Woke::deadline) {
      throw Error(ErrorKind::timeout, "the machine took too long to answer");
    }
    if (channel_->err.size() > 65536) channel_->err.erase(0, channel_->err.size() - 16384);
  }
  return true;
}

void SshCommand::write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (channel_->closed()) throw_ended();
    bytes.remove_prefix(channel_->write(bytes));
    if (bytes.empty()) return;
    if (session_.wait(deadline_, stop_) == Woke::deadline)
      throw Error(ErrorKind::timeout, "the transfer took too long");
  }
}

int SshCommand::finish() {
  if (!channel_->closed()) channel_->send_eof();
  while (!channel_->closed()) {
    channel_->out.clear();
    if (session_.wait(deadline_, stop_) == Woke::deadline) {
      throw Error(ErrorKind::timeout, "the remote command took too long to end");
    }
  }
  return channel_->exit_status().value_or(disconnected_status);
}

}  // namespace kiln
