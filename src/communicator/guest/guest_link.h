// One connection to the agent in the guest, once it has answered.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/wait.h"
#include "communicator/guest/guest_frames.h"

namespace kiln {

/// Used by one thread at a time. Once the other side is gone or talks nonsense alive() is false and every wait is
/// Error{remote}.
class GuestLink {
 public:
  /// Connects to QEMU's socket and greets; nullptr when nobody has answered by the deadline.
  static std::unique_ptr<GuestLink> connect(const std::filesystem::path& path, const Deadline& deadline,
                                            const Stop& stop);

  /// Queues a frame; wait() sends it.
  void send(GuestFrame type, std::string_view payload = {}) { unsent_ += guest_frame(type, payload); }
  size_t unsent() const { return unsent_.size(); }
  /// Sends and receives what can be, waiting until something could be or the deadline. In silence the agent is asked
  /// whether it is there.
  Woke wait(const Deadline& deadline, const Stop& stop);
  /// The next message received. Those about life and death are not among them.
  std::optional<GuestMessage> next();

  /// Starts a command; one at a time.
  void start(std::string_view line);
  /// Starts what ends as a command does: `file`, `flush`.
  void start(GuestFrame type, std::string_view payload);
  /// Tells the guest to end the command; what it still says is dropped by settle(). Never throws.
  void abandon() noexcept;
  /// Waits until the guest has told the end of an abandoned command. Throws Error{timeout}.
  void settle(const Deadline& deadline, const Stop& stop);
  /// Whether the agent gives a sign of life before the deadline.
  bool probe(const Deadline& deadline, const Stop& stop);

  bool alive() const { return socket_.is_open(); }
  bool agent_is_root() const { return (agent_can_ & guest_agent_is_root) != 0; }
  bool agent_takes_files() const { return (agent_can_ & guest_agent_takes_files) != 0; }
  Clock::time_point last_received() const { return last_received_; }

 private:
  GuestLink(Fd socket, std::string token);
  bool greet(const Deadline& deadline, const Stop& stop);
  bool peer_has_read_all() const;
  void flush();
  void receive();
  void ask_for_life();
  [[noreturn]] void lose(const std::string& why);

  Fd socket_;
  std::string token_;
  GuestDecoder decoder_;
  std::string unsent_;
  std::string buffer_;
  std::string why_lost_ = "the guest channel is closed";
  uint8_t agent_can_ = 0;
  bool command_runs_ = false;
  Clock::time_point last_received_ = Clock::now();
  std::optional<Clock::time_point> asked_;  ///< since when a ping has had no answer
};

}  // namespace kiln
