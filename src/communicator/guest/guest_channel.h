// The guest channel: commands and files of a Linux guest over virtio-serial, without network and without ssh's cost.
// A small agent in the guest answers; docs/formats/guest-channel.md has the protocol.
#pragma once
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/communicator.h"

namespace kiln {

/// The name the guest knows the port by. QEMU: -device virtio-serial-pci -device virtserialport,chardev=C,name=NAME
/// with -chardev socket,id=C,path=SOCKET,server=on,wait=off.
inline constexpr const char* guest_channel_port = "org.kiln.guest";

/// A way into the machine through its agent. Commands run as over ssh: by the same user, with the environment, the
/// directory and the login shell that the ssh command had which started the agent. One command at a time; one that
/// is given up (Stop, deadline) is terminated in the guest, and killed after two seconds.
///
/// QEMU serves one connection a port: whoever connects second is answered when the first has gone. A connection made
/// to a machine that was restored resynchronises with the agent, but a command that ran when the state was taken is
/// killed: take states while no call is under way.
///
/// A connection that was lost is made again by the next call, which is Error{remote} when no agent answers: it does
/// not outlive a reboot (install it again).
class GuestChannel : public Communicator {
 public:
  /// Gives the guest's kernel fresh randomness (at most 4096 bytes are taken) and makes it use it at once, and sets its
  /// clock. To be called first of all after a restore. False, when the agent may not (it is not root) or the
  /// kernel has no way to: then forks of one state may draw the same random bytes.
  virtual bool reseed(std::string_view bytes, std::optional<std::chrono::system_clock::time_point> time,
                      const Deadline& deadline, const Stop& stop) = 0;
  /// Whether the agent is root, as reseed() needs it.
  virtual bool can_reseed() const = 0;
  /// Has the guest write everything to its disks. True when those are then worth something by themselves: no
  /// file lies in /tmp or /dev/shm, which a boot would lose. nullopt: this agent is an older one and cannot.
  virtual std::optional<bool> flush(const Deadline& deadline, const Stop& stop) = 0;
  /// Ends the agent and waits for its word; nothing of it stays in the guest. Without an agent nothing is done. The
  /// channel is of no use afterwards.
  virtual void quit_agent(const Deadline& deadline, const Stop& stop) = 0;
  /// Whether the agent was there when last heard of. A guest that goes down in order says so at once; one that was
  /// reset is noticed by its silence, and QEMU's end by the next call.
  virtual bool is_connected() const = 0;
};

/// Connects to QEMU's socket and greets the agent. nullptr when none answers before the deadline (also when nobody
/// listens on the socket yet): that is no error. It may be called before the agent starts.
std::unique_ptr<GuestChannel> connect_guest_channel(const std::filesystem::path& socket, const Deadline& deadline,
                                                    const Stop& stop);

/// Sends the agent through `way_in` (ssh) and starts it for way_in's user, with root's rights for the port itself and
/// for reseed() where the user is root or may use `sudo -n`. Its file is gone from the guest when this returns, its
/// process stays until quit_agent() or the guest's end. False with the reason in `why_not` (a clause) when it cannot
/// be: no x86-64 Linux, no virtio port of that name, no right to open it, already running, or way_in failed. Throws
/// Error{cancelled} alone.
bool install_guest_agent(Communicator& way_in, std::string& why_not, const Deadline& deadline, const Stop& stop);

/// The program that install_guest_agent sends; empty when Kiln was built without (not on x86-64). What a machine
/// state with a running agent depends on.
std::string_view guest_agent_program();

}  // namespace kiln
