// A command run by the agent in the guest.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/wait.h"
#include "communicator/guest/guest_link.h"
#include "kit/remote_command.h"

namespace kiln {

/// Destroyed before its end it is ended in the guest.
class GuestCommand : public RemoteCommand {
 public:
  /// The link has no other command. The references must outlive the object.
  GuestCommand(GuestLink& link, const std::string& line, const Deadline& deadline, const Stop& stop);
  /// What the agent does itself, `file` or `flush`. `doing` is what an error says of it.
  GuestCommand(GuestLink& link, GuestFrame type, std::string_view payload, std::string doing,
               const Deadline& deadline, const Stop& stop);
  ~GuestCommand() override;
  GuestCommand(const GuestCommand&) = delete;
  GuestCommand& operator=(const GuestCommand&) = delete;

  void write(std::string_view bytes) override;
  void send_eof() override;
  int finish() override;

  /// Waits until something happened: more output, room for input, its end. Throws Error{timeout} with `too_late`.
  void wait(const char* too_late);
  /// The exit status, 128+signal if a signal killed it; nullopt while it runs.
  std::optional<int> exit_status() const { return status_; }
  std::string out;  ///< received and not yet taken: the owner clears it
  std::string err;

 private:
  bool more() override;
  std::string& output() override { return out; }
  const std::string& errors() const override { return err; }
  void take(const GuestMessage& message);
  void take_end(const std::string& payload);

  GuestLink& link_;
  std::string doing_ = "the command could not be started";
  const Deadline& deadline_;
  const Stop& stop_;
  size_t window_ = guest_input_window;
  bool input_ended_ = false;
  std::optional<int> status_;
};

}  // namespace kiln
