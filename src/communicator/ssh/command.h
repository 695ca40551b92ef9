// A remote command over an ssh connection.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/wait.h"
#include "kit/remote_command.h"
#include "wire/ssh_session.h"

namespace kiln {

class SshCommand : public RemoteCommand {
 public:
  /// `subsystem`: command is a subsystem's name ("sftp"). The references must outlive the object.
  SshCommand(SshSession& session, const std::string& command, const Deadline& deadline, const Stop& stop,
             bool subsystem = false);
  void write(std::string_view bytes) override;
  void send_eof() override { channel_->send_eof(); }
  int finish() override;

 private:
  bool more() override;
  std::string& output() override { return channel_->out; }
  const std::string& errors() const override { return channel_->err; }
  SshSession& session_;
  const Deadline& deadline_;
  const Stop& stop_;
  std::unique_ptr<SshChannel> channel_;
};

}  // namespace kiln
