// The options every builder with a communicator takes (packer-surface 7.1, 7.2): one struct, one table.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/stage_context.h"
#include "lang/option.h"
#include "wire/winrm_client.h"

namespace kiln {

/// A tunnel "PORT:HOST:PORT": who connects to localhost:listen_port reaches host:port on the other side.
struct SshTunnel {
  int listen_port = 0;
  std::string host;
  int port = 0;
};

/// Communicator options as decoded; prepare_communicator() fills what has a computed default.
struct CommunicatorConfig {
  std::string communicator = "ssh";
  Duration pause_before_connecting{0};

  std::string ssh_host;
  int ssh_port = 0;  ///< 22 after prepare
  std::string ssh_username;
  std::string ssh_password;
  std::string ssh_keypair_name;
  std::string temporary_key_pair_name;
  std::string temporary_key_pair_type = "rsa";
  int temporary_key_pair_bits = 0;  ///< 0: the type's default
  std::vector<std::string> ssh_ciphers;
  std::vector<std::string> ssh_key_exchange_algorithms;
  bool ssh_clear_authorized_keys = false;
  std::string ssh_private_key_file;
  std::string ssh_certificate_file;
  bool ssh_pty = false;
  Duration ssh_timeout{0};  ///< 0: no limit of time (after prepare; 5m unless ssh_handshake_attempts is set)
  Duration ssh_wait_timeout{0};    ///< older name of ssh_timeout; wins when set
  int ssh_handshake_attempts = 0;  ///< 0: no limit (after prepare; 10 unless ssh_timeout is set)
  bool ssh_agent_auth = false;
  bool ssh_disable_agent_forwarding = false;
  std::string ssh_bastion_host;
  int ssh_bastion_port = 0;  ///< 22 after prepare when there is a bastion
  std::string ssh_bastion_username;
  std::string ssh_bastion_password;
  bool ssh_bastion_interactive = false;
  bool ssh_bastion_agent_auth = false;
  std::string ssh_bastion_private_key_file;
  std::string ssh_bastion_certificate_file;
  std::string ssh_file_transfer_method;  ///< "scp", "sftp", or empty: whatever is fastest and safe
  std::string ssh_proxy_host;
  int ssh_proxy_port = 0;  ///< 1080 after prepare when there is a proxy
  std::string ssh_proxy_username;
  std::string ssh_proxy_password;
  Duration ssh_keep_alive_interval = std::chrono::seconds(5);  ///< negative or 0: off
  Duration ssh_read_write_timeout{0};
  std::vector<std::string> ssh_remote_tunnels;
  std::vector<std::string> ssh_local_tunnels;
  std::string ssh_public_key;   ///< text, set by builders that make a temporary pair
  std::string ssh_private_key;  ///< text, likewise; used beside ssh_private_key_file

  std::string winrm_username;
  std::string winrm_password;
  std::string winrm_host;
  bool winrm_no_proxy = false;
  int winrm_port = 0;
  Duration winrm_timeout = std::chrono::minutes(30);
  bool winrm_use_ssl = false;
  bool winrm_insecure = false;
  bool winrm_use_ntlm = false;

  /// Packer's Host()/Port()/User()/Password() of whichever communicator is chosen.
  const std::string& host() const { return communicator == "winrm" ? winrm_host : ssh_host; }
  int port() const { return communicator == "winrm" ? winrm_port : ssh_port; }
  const std::string& user() const { return communicator == "winrm" ? winrm_username : ssh_username; }
  const std::string& password() const { return communicator == "winrm" ? winrm_password : ssh_password; }
};

const OptionTable<CommunicatorConfig>& communicator_options();

/// Sets computed defaults and adds Packer's diagnostics. Key files are read here so that a bad one is told
/// before anything is made. Rules of one builder (null's "a Host must be specified") are that builder's.
/// `custom_types` are communicators only that builder knows ("docker"): accepted as they are.
void prepare_communicator(CommunicatorConfig& config, const PrepareInput& input,
                          const std::vector<std::string>& custom_types = {});

/// What communicator "winrm" connects to.
WinrmEndpoint winrm_endpoint(const CommunicatorConfig& config);

/// Parses "PORT:HOST:PORT"; throws Error{user} with Packer's text.
SshTunnel parse_ssh_tunnel(const std::string& text);

}  // namespace kiln
