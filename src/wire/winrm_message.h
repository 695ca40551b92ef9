// The messages of Windows' remote shell: WS-Management (SOAP over HTTP) as MS-WSMV says. Pure: text to text.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace kiln {

/// What every request carries.
struct WinrmHeader {
  std::string url;         ///< of the service
  std::string message_id;  ///< a UUID
  std::string shell;       ///< empty: none yet
  std::chrono::seconds operation_timeout{60};
};

std::string winrm_create_shell(const WinrmHeader& header);
/// `command` is a line for cmd. `takes_input`: its stdin is what winrm_send sends, else a console.
std::string winrm_command(const WinrmHeader& header, std::string_view command, bool takes_input);
std::string winrm_send(const WinrmHeader& header, std::string_view command_id, std::string_view bytes,
                       bool end);
std::string winrm_receive(const WinrmHeader& header, std::string_view command_id);
/// Ends the command, and frees what the server keeps for it.
std::string winrm_terminate(const WinrmHeader& header, std::string_view command_id);
std::string winrm_delete_shell(const WinrmHeader& header);

/// "PT1M30S".
std::string iso8601_duration(std::chrono::seconds duration);

struct WinrmFault {
  std::string code;  ///< of WSManFault, decimal; may be empty
  std::string text;
};
constexpr std::string_view winrm_operation_timed_out = "2150858793";

/// What an answer says; the members that its kind of request asks for are set.
struct WinrmAnswer {
  std::optional<WinrmFault> fault;
  std::string shell_id;
  std::string command_id;
  std::string out;
  std::string err;
  bool done = false;
  int exit_code = 0;
};

/// Throws Error{remote} when the text is no SOAP envelope.
WinrmAnswer parse_winrm_answer(std::string_view text);

}  // namespace kiln
