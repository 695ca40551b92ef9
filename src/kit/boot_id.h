// Telling a reboot of the machine from a hiccup of the line.
#pragma once
#include <optional>
#include <string>

#include "core/communicator.h"
#include "core/event.h"

namespace kiln {

/// What a machine says of itself.
struct GuestState {
  std::string boot_id;     ///< the kernel's id of this boot (BSD: the boot time); empty: it has none to tell
  bool stopping = false;   ///< it says that it is going down
  bool container = false;  ///< its boot id is the host's: it tells nothing
};

/// Asks the machine once. nullopt when it does not answer. Stop throws Error{cancelled}.
std::optional<GuestState> probe_guest(Communicator& communicator, const Deadline& deadline, const Stop& stop);

enum class CameBack {
  restarted,  ///< another boot than before
  same_boot,  ///< reachable for a while, not going down, the same boot: it was a hiccup, or nothing happened
  gone,       ///< did not come back before the deadline
};

struct ReturnWatch {
  std::optional<GuestState> before;  ///< as probed before the command ran
  bool disconnected = false;         ///< the line broke; else the command ended by itself
  std::chrono::nanoseconds settle_connected = std::chrono::seconds(5);  ///< how long the same boot must last
  std::chrono::nanoseconds settle_disconnected = std::chrono::seconds(10);
  std::chrono::nanoseconds probe_timeout = std::chrono::seconds(20);
  std::chrono::nanoseconds probe_pause = Millis(500);  ///< between two looks at a machine
};

/// Waits until it is clear what became of the machine after a command that may have restarted it. Reconnects
/// as often as needed. Never longer than the deadline; Stop throws Error{cancelled}.
CameBack await_return(Communicator& communicator, const ReturnWatch& watch, const Deadline& deadline,
                      const Ui& ui, const Stop& stop);

}  // namespace kiln
