// A remote command that is talked to: bytes in, bytes out, an exit status. What transfers are made of.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/wait.h"
#include "wire/ssh_session.h"

namespace kiln {

/// A command running on the machine. Every method blocks until done; Error{timeout}, Error{cancelled},
/// Error{remote}.
class RemoteCommand {
 public:
  /// `subsystem`: command is a subsystem's name ("sftp"). The references must outlive the object.
  RemoteCommand(SshSession& session, const std::string& command, const Deadline& deadline, const Stop& stop,
                bool subsystem = false);
  /// Throws Error{remote} with what the command said on stderr when it ends before everything is written.
  void write(std::string_view bytes);
  /// The next line without its newline; empty with *ended set when the output ends first.
  std::string read_line(bool* ended = nullptr);
  /// Exactly `size` bytes, or fewer when the output ends.
  std::string read(size_t size);
  /// What has come, at least one byte; empty at the end.
  std::string read_some();
  void send_eof() { channel_->send_eof(); }
  /// Waits for the end (stdin closed, rest of the output dropped): the exit status, or disconnected_status.
  int finish();
  /// The last lines of stderr, in one line; "" when it said nothing.
  std::string complaint() const;

 private:
  bool more();  ///< waits for output; false at its end
  SshSession& session_;
  const Deadline& deadline_;
  const Stop& stop_;
  std::unique_ptr<SshChannel> channel_;
};

/// A path as a word for the remote shell. As with Packer's scp, "~/", "$NAME" and "${NAME}" mean what the
/// shell makes of them; everything else is literal.
std::string remote_word(const std::string& path);

}  // namespace kiln
