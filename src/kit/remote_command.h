// A remote command that is talked to: bytes in, bytes out, an exit status. What transfers are made of.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace kiln {

/// A command running on the machine, over some connection. Every method blocks until done; Error{timeout},
/// Error{cancelled}, Error{remote}.
class RemoteCommand {
 public:
  virtual ~RemoteCommand() = default;
  /// Throws Error{remote} with what the command said on stderr when it ends before everything is written.
  virtual void write(std::string_view bytes) = 0;
  /// The next line without its newline; empty with *ended set when the output ends first.
  std::string read_line(bool* ended = nullptr);
  /// Exactly `size` bytes, or fewer when the output ends.
  std::string read(size_t size);
  /// What has come, at least one byte; empty at the end.
  std::string read_some();
  virtual void send_eof() = 0;
  /// Waits for the end (stdin closed, rest of the output dropped): the exit status, or disconnected_status.
  virtual int finish() = 0;
  /// The last lines of stderr, in one line; "" when it said nothing.
  std::string complaint() const;

 protected:
  /// Waits until output() has something; false at its end. Keeps errors() short.
  virtual bool more() = 0;
  virtual std::string& output() = 0;             ///< received and not yet taken
  virtual const std::string& errors() const = 0;  ///< what stderr said last
  /// What write() throws when the command has ended.
  [[noreturn]] void throw_ended() const;
};

/// Starts a command on the machine.
using StartCommand = std::function<std::unique_ptr<RemoteCommand>(const std::string& command)>;

/// A path as a word for the remote shell. As with Packer's scp, "~/", "$NAME" and "${NAME}" mean what the
/// shell makes of them; everything else is literal.
std::string remote_word(const std::string& path);

}  // namespace kiln
