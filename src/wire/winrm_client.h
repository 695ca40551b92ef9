// A client of Windows' remote shell (WinRM): one HTTP request an operation, over connections that are kept.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/wait.h"
#include "wire/winrm_message.h"

namespace kiln {

struct WinrmEndpoint {
  std::string host;
  int port = 5985;
  bool https = false;
  bool insecure = false;  ///< do not check the certificate
  bool ntlm = false;      ///< else basic
  bool no_proxy =
      false;  ///< else HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment, this machine excepted
  std::string user;
  std::string password;
};

/// The proxy for an endpoint, "" for none: Go's rules, so upper and lower case names, and never for this
/// machine. `env` looks a variable up.
std::string winrm_proxy(const WinrmEndpoint& endpoint, const std::function<std::string(const char*)>& env);

/// Used by one thread at a time. Every method blocks until done: Error{remote} (with the service's words when
/// it has some), Error{timeout} after the deadline, Error{cancelled}. A connection that broke is made anew by
/// the next call.
class WinrmClient {
 public:
  explicit WinrmClient(WinrmEndpoint endpoint);
  ~WinrmClient();

  /// Returns the shell's id.
  std::string create_shell(const Deadline& deadline, const Stop& stop);
  /// Returns the command's id.
  std::string start(const std::string& shell, std::string_view command, bool takes_input,
                    const Deadline& deadline, const Stop& stop);
  void send(const std::string& shell, const std::string& command, std::string_view bytes, bool end,
            const Deadline& deadline, const Stop& stop);
  /// What the command has said since, and whether it is done. An answer that says nothing comes after some 20
  /// s, so that a machine that went away is noticed.
  WinrmAnswer receive(const std::string& shell, const std::string& command, const Deadline& deadline,
                      const Stop& stop);
  void terminate(const std::string& shell, const std::string& command, const Deadline& deadline,
                 const Stop& stop);
  void delete_shell(const std::string& shell, const Deadline& deadline, const Stop& stop);
  /// Drops the connections.
  void disconnect();

 private:
  struct Transport;
  WinrmHeader header(const std::string& shell) const;
  WinrmAnswer call(const WinrmHeader& header, const std::string& request, const Deadline& deadline,
                   const Stop& stop);
  /// The same, a fault being an error.
  WinrmAnswer demand(const WinrmHeader& header, const std::string& request, const Deadline& deadline,
                     const Stop& stop);

  WinrmEndpoint endpoint_;
  std::string url_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace kiln
