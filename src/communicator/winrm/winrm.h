// The winrm communicator: waiting for a Windows machine's remote shell, then commands and transfers
// (packer-surface 7.2).
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/communicator.h"
#include "core/stage_context.h"
#include "wire/winrm_client.h"

namespace kiln {

struct WinrmSettings {
  WinrmEndpoint endpoint;  ///< host and port are what is known now
  Duration timeout = std::chrono::minutes(30);
  Duration pause_before_connecting{0};
  Duration retry_pause = std::chrono::seconds(1);
};

struct WinrmTarget {
  std::string host;
  int port = 5985;
};

/// Where to connect, once it is known; asked again before every attempt. It must not block. What it throws
/// ends the waiting (the machine died, say).
using WinrmTargetResolver = std::function<std::optional<WinrmTarget>()>;

/// Waits until PowerShell answers over WinRM. Says what Packer says: "Using WinRM communicator to connect:
/// H", "Waiting for WinRM to become available...", "WinRM connected.", "Connected to WinRM!". Gives up after
/// `timeout`: Error{timeout} whose first line is "Timeout waiting for WinRM." and whose second says what
/// failed last; the same text is emitted as an error event.
std::unique_ptr<Communicator> connect_winrm(const WinrmSettings& settings,
                                            const WinrmTargetResolver& resolver, StageContext& context);

}  // namespace kiln
