#include "communicator/ssh/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "wire/ssh_key.h"

namespace kiln {

namespace {

using Config = CommunicatorConfig;
using Table = OptionTable<CommunicatorConfig>;

void add_login_options(Table& t) {
  t.add(&Config::ssh_host, {.name = "ssh_host",
                            .default_text = "the builder's",
                            .doc = "The address to connect to.",
                            .in_key = false});
  t.add(&Config::ssh_port,
        {.name = "ssh_port", .default_text = "22", .doc = "The port to connect to.", .in_key = false});
  t.add(&Config::ssh_username, {.name = "ssh_username", .doc = "The user to log in as."});
  t.add(&Config::ssh_password, {.name = "ssh_password",
                                .doc = "Plain-text password; also answers every keyboard-interactive prompt.",
                                .secret = true,
                                .in_key = false});
  t.add(&Config::ssh_keypair_name,
        {.name = "ssh_keypair_name", .doc = "Name of a key pair the builder already has.", .in_key = false});
  t.add(&Config::temporary_key_pair_name, {.name = "temporary_key_pair_name",
                                           .default_text = "packer_UUID",
                                           .doc = "Name of the temporary key pair.",
                                           .in_key = false});
  t.add(&Config::temporary_key_pair_type, {.name = "temporary_key_pair_type",
                                           .default_text = "rsa",
                                           .doc = "rsa, ecdsa or ed25519 (dsa is no longer made).",
                                           .in_key = false});
  t.add(&Config::temporary_key_pair_bits, {.name = "temporary_key_pair_bits",
                                           .default_text = "rsa 4096, ecdsa 521",
                                           .doc = "Size of the temporary key; ignored for ed25519.",
                                           .in_key = false});
  t.add(&Config::ssh_private_key_file, {.name = "ssh_private_key_file",
                                        .doc = "Path of an unencrypted private key; `~` is expanded.",
                                        .in_key = false});
  t.add(&Config::ssh_certificate_file, {.name = "ssh_certificate_file",
                                        .doc = "Path of an OpenSSH user certificate for the private key.",
                                        .in_key = false});
  t.add(&Config::ssh_agent_auth, {.name = "ssh_agent_auth",
                                  .default_text = "false",
                                  .doc = "Log in with the keys of the agent at SSH_AUTH_SOCK.",
                                  .in_key = false});
  t.add(&Config::ssh_disable_agent_forwarding, {.name = "ssh_disable_agent_forwarding",
                                                .default_text = "false",
                                                .doc = "Do not forward the local agent to the machine."});
  t.add(&Config::ssh_clear_authorized_keys,
        {.name = "ssh_clear_authorized_keys",
         .default_text = "false",
         .doc = "Remove the temporary key from authorized_keys at the end."});
}

void add_session_options(Table& t) {
  t.add(&Config::ssh_ciphers, {.name = "ssh_ciphers",
                               .default_text = "cheapest first",
                               .doc = "Ciphers to offer, best first.",
                               .in_key = false});
  t.add(&Config::ssh_key_exchange_algorithms, {.name = "ssh_key_exchange_algorithms",
                                               .default_text = "cheapest first",
                                               .doc = "Key exchanges to offer, best first.",
                                               .in_key = false});
  t.add(&Config::ssh_pty, {.name = "ssh_pty", .default_text = "false", .doc = "Give commands a terminal."});
  t.add(&Config::ssh_timeout,
        {.name = "ssh_timeout",
         .default_text = "5m",
         .doc = "How long to wait for ssh to become available: one budget for everything.",
         .in_key = false});
  t.add(&Config::ssh_wait_timeout, {.name = "ssh_wait_timeout",
                                    .doc = "Older name of ssh_timeout; wins when both are given.",
                                    .in_key = false});
  t.add(&Config::ssh_handshake_attempts,
        {.name = "ssh_handshake_attempts",
         .default_text = "10",
         .doc = "Failed log-ins before giving up; unlimited when ssh_timeout is given.",
         .in_key = false});
  t.add(&Config::ssh_keep_alive_interval, {.name = "ssh_keep_alive_interval",
                                           .default_text = "5s",
                                           .doc = "How often to send keep-alives; negative turns them off.",
                                           .in_key = false});
  t.add(&Config::ssh_read_write_timeout,
        {.name = "ssh_read_write_timeout",
         .default_text = "0s",
         .doc = "Give the connection up after this long without a byte; 0 is never.",
         .in_key = false});
  t.add(&Config::ssh_file_transfer_method,
        {.name = "ssh_file_transfer_method",
         .default_text = "scp",
         .doc = "scp or sftp. When not given, trees go as one archive and files the fastest safe way."});
  t.add(&Config::ssh_remote_tunnels,
        {.name = "ssh_remote_tunnels",
         .doc = "PORT:HOST:PORT: the machine's localhost:PORT reaches HOST:PORT from here."});
  t.add(&Config::ssh_local_tunnels,
        {.name = "ssh_local_tunnels",
         .doc = "PORT:HOST:PORT: localhost:PORT here reaches HOST:PORT from the machine."});
  t.add(&Config::ssh_public_key,
        {.name = "ssh_public_key", .doc = "Public key text; set by builders.", .in_key = false});
  t.add(&Config::ssh_private_key, {.name = "ssh_private_key",
                                   .doc = "Private key text; set by builders.",
                                   .secret = true,
                                   .in_key = false});
}

void add_route_options(Table& t) {
  t.add(&Config::ssh_bastion_host,
        {.name = "ssh_bastion_host", .doc = "A bastion to go through.", .in_key = false});
  t.add(&Config::ssh_bastion_port,
        {.name = "ssh_bastion_port", .default_text = "22", .doc = "The bastion's port.", .in_key = false});
  t.add(&Config::ssh_bastion_username,
        {.name = "ssh_bastion_username", .doc = "User at the bastion.", .in_key = false});
  t.add(&Config::ssh_bastion_password,
        {.name = "ssh_bastion_password", .doc = "Password at the bastion.", .secret = true, .in_key = false});
  t.add(&Config::ssh_bastion_interactive,
        {.name = "ssh_bastion_interactive",
         .default_text = "false",
         .doc = "Ask the person keyboard-interactive questions of the bastion.",
         .in_key = false});
  t.add(&Config::ssh_bastion_agent_auth, {.name = "ssh_bastion_agent_auth",
                                          .default_text = "false",
                                          .doc = "Log in at the bastion with the agent's keys.",
                                          .in_key = false});
  t.add(&Config::ssh_bastion_private_key_file, {.name = "ssh_bastion_private_key_file",
                                                .default_text = "ssh_private_key_file",
                                                .doc = "Private key for the bastion.",
                                                .in_key = false});
  t.add(
      &Config::ssh_bastion_certificate_file,
      {.name = "ssh_bastion_certificate_file", .doc = "Certificate for the bastion's key.", .in_key = false});
  t.add(&Config::ssh_proxy_host,
        {.name = "ssh_proxy_host", .doc = "A SOCKS5 proxy to go through.", .in_key = false});
  t.add(&Config::ssh_proxy_port,
        {.name = "ssh_proxy_port", .default_text = "1080", .doc = "The proxy's port.", .in_key = false});
  t.add(&Config::ssh_proxy_username,
        {.name = "ssh_proxy_username", .doc = "User at the proxy.", .in_key = false});
  t.add(&Config::ssh_proxy_password,
        {.name = "ssh_proxy_password", .doc = "Password at the proxy.", .secret = true, .in_key = false});
}

void add_winrm_options(Table& t) {
  t.add(&Config::winrm_username, {.name = "winrm_username", .doc = "The user to log in as."});
  t.add(&Config::winrm_password,
        {.name = "winrm_password", .doc = "The user's password.", .secret = true, .in_key = false});
  t.add(&Config::winrm_host, {.name = "winrm_host", .doc = "The address to connect to.", .in_key = false});
  t.add(&Config::winrm_no_proxy, {.name = "winrm_no_proxy",
                                  .default_text = "false",
                                  .doc = "Pass the proxy over for this host.",
                                  .in_key = false});
  t.add(&Config::winrm_port, {.name = "winrm_port",
                              .default_text = "5985, 5986 with SSL",
                              .doc = "The port to connect to.",
                              .in_key = false});
  t.add(&Config::winrm_timeout, {.name = "winrm_timeout",
                                 .default_text = "30m",
                                 .doc = "How long to wait for WinRM.",
                                 .in_key = false});
  t.add(&Config::winrm_use_ssl,
        {.name = "winrm_use_ssl", .default_text = "false", .doc = "Use HTTPS.", .in_key = false});
  t.add(&Config::winrm_insecure, {.name = "winrm_insecure",
                                  .default_text = "false",
                                  .doc = "Do not check the server's certificate.",
                                  .in_key = false});
  t.add(&Config::winrm_use_ntlm,
        {.name = "winrm_use_ntlm", .default_text = "false", .doc = "Authenticate by NTLM.", .in_key = false});
}

SourceRange range_of(const PrepareInput& input, const std::string& option) {
  const Value* value = input.config.find(option);
  return value ? value->range : input.config.range;
}

/// Loads a key (and its certificate) only to see whether it can be.
void check_key(const PrepareInput& input, const std::string& option, const std::string& key_path,
               const std::string& certificate_path) {
  try {
    SshKey key = SshKey::load_private(key_path);
    if (!certificate_path.empty()) key.with_certificate(certificate_path);
  } catch (const Error& e) {
    std::string hint =
        contains(e.message(), "password protected")
            ? "Decrypt it (ssh-keygen -p), or load it into an agent and set \"ssh_agent_auth\"."
            : "";
    input.diagnostics.error(fmt::format("{} is invalid: {}", option, e.message()), "",
                            range_of(input, option), hint);
  }
}

void check_tunnels(const PrepareInput& input, const std::string& option,
                   const std::vector<std::string>& tunnels) {
  for (const auto& tunnel : tunnels) {
    try {
      parse_ssh_tunnel(tunnel);
    } catch (const Error& e) {
      input.diagnostics.error(fmt::format("{} ('{}') is invalid: {}", option, tunnel, e.message()), "",
                              range_of(input, option), "A tunnel is \"PORT:HOST:PORT\".");
    }
  }
}

void check_key_pair(const Config& config, const PrepareInput& input) {
  const std::string& type = config.temporary_key_pair_type;
  int bits = config.temporary_key_pair_bits;
  std::string problem;
  if (type == "dsa") {
    problem = "temporary_key_pair_type dsa is not supported: no current sshd accepts such keys";
  } else if (type != "rsa" && type != "ecdsa" && type != "ed25519") {
    problem =
        fmt::format("temporary_key_pair_type ('{}') is invalid, valid types: ecdsa, ed25519, rsa", type);
  } else if (type == "rsa" && bits != 0 && (bits < 1024 || bits > 16384)) {
    problem = fmt::format("temporary_key_pair_bits ({}) is invalid: rsa keys have 1024 to 16384", bits);
  } else if (type == "ecdsa" && bits != 0 && bits != 256 && bits != 384 && bits != 521) {
    problem = fmt::format("temporary_key_pair_bits ({}) is invalid: ecdsa keys have 256, 384 or 521", bits);
  }
  if (problem.empty()) return;
  input.diagnostics.error(
      problem, "",
      range_of(input, contains(problem, "_bits") ? "temporary_key_pair_bits" : "temporary_key_pair_type"));
}

void check_bastion(Config& config, const PrepareInput& input) {
  if (config.ssh_bastion_host.empty()) return;
  if (config.ssh_bastion_port == 0) config.ssh_bastion_port = 22;
  if (config.ssh_bastion_private_key_file.empty() && !config.ssh_private_key_file.empty()) {
    config.ssh_bastion_private_key_file = config.ssh_private_key_file;
    if (config.ssh_bastion_certificate_file.empty())
      config.ssh_bastion_certificate_file = config.ssh_certificate_file;
  }
  if (!config.ssh_proxy_host.empty()) {
    input.diagnostics.error("please specify either ssh_bastion_host or ssh_proxy_host, not both", "",
                            range_of(input, "ssh_proxy_host"));
  }
  if (config.ssh_bastion_agent_auth) return;
  if (config.ssh_bastion_password.empty() && config.ssh_bastion_private_key_file.empty() &&
      !config.ssh_bastion_interactive) {
    input.diagnostics.error("ssh_bastion_password or ssh_bastion_private_key_file must be specified", "",
                            range_of(input, "ssh_bastion_host"));
  } else if (!config.ssh_bastion_private_key_file.empty() &&
             config.ssh_bastion_private_key_file != config.ssh_private_key_file) {
    check_key(input, "ssh_bastion_private_key_file", config.ssh_bastion_private_key_file,
              config.ssh_bastion_certificate_file);
  }
}

void prepare_ssh(Config& config, const PrepareInput& input) {
  Diagnostics& out = input.diagnostics;
  if (config.ssh_port == 0) config.ssh_port = 22;
  if (config.ssh_wait_timeout.count() != 0) config.ssh_timeout = config.ssh_wait_timeout;
  bool timeout_given = config.ssh_timeout.count() != 0;
  bool attempts_given = config.ssh_handshake_attempts != 0;
  if (!timeout_given && !attempts_given) config.ssh_timeout = std::chrono::minutes(5);
  if (!attempts_given && !timeout_given) config.ssh_handshake_attempts = 10;
  if (config.ssh_proxy_port == 0) config.ssh_proxy_port = 1080;

  if (config.ssh_username.empty()) {
    out.error(
        "An ssh_username must be specified\n  Note: some builders used to default ssh_username to \"root\".",
        "", range_of(input, "ssh_username"));
  }
  if (!config.ssh_private_key_file.empty()) {
    check_key(input, "ssh_private_key_file", config.ssh_private_key_file, config.ssh_certificate_file);
  }
  check_bastion(config, input);
  const std::string& method = config.ssh_file_transfer_method;
  if (!method.empty() && method != "scp" && method != "sftp") {
    out.error(fmt::format("ssh_file_transfer_method ('{}') is invalid, valid methods: sftp, scp", method), "",
              range_of(input, "ssh_file_transfer_method"));
  }
  check_tunnels(input, "ssh_local_tunnels", config.ssh_local_tunnels);
  check_tunnels(input, "ssh_remote_tunnels", config.ssh_remote_tunnels);
  check_key_pair(config, input);
}

void prepare_winrm(Config& config, const PrepareInput& input) {
  if (config.winrm_port == 0) config.winrm_port = config.winrm_use_ssl ? 5986 : 5985;
  if (config.winrm_timeout.count() == 0) config.winrm_timeout = std::chrono::minutes(30);
  if (config.winrm_username.empty()) {
    input.diagnostics.error("winrm_username must be specified.", "", range_of(input, "winrm_username"));
  }
}

int parse_tunnel_port(const std::string& text, std::string_view which) {
  bool number = !text.empty() && text.size() <= 6 &&
                std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!number) {
    throw Error(
        ErrorKind::user,
        fmt::format("Error parsing {} port, must be a valid port: strconv.Atoi: parsing {}: invalid syntax",
                    which, go_quote(text)));
  }
  int port = std::stoi(text);
  if (port < 1 || port > 65535)
    throw Error(ErrorKind::user, fmt::format("Error parsing {} port, must be a valid port: {}", which, port));
  return port;
}

}  // namespace

WinrmEndpoint winrm_endpoint(const CommunicatorConfig& config) {
  WinrmEndpoint endpoint;
  endpoint.host = config.winrm_host;
  endpoint.port = config.winrm_port;
  endpoint.https = config.winrm_use_ssl;
  endpoint.insecure = config.winrm_insecure;
  endpoint.ntlm = config.winrm_use_ntlm;
  endpoint.no_proxy = config.winrm_no_proxy;
  endpoint.user = config.winrm_username;
  endpoint.password = config.winrm_password;
  return endpoint;
}

SshTunnel parse_ssh_tunnel(const std::string& text) {
  size_t colon = text.find(':');
  if (colon == text.npos)
    throw Error(ErrorKind::user, fmt::format("Error parsing tunnel '{}': [{}]", text, text));
  SshTunnel tunnel;
  tunnel.listen_port = parse_tunnel_port(text.substr(0, colon), "listening");
  std::string address = text.substr(colon + 1);
  size_t last = address.rfind(':');
  auto bad_address = [&](std::string_view why) {
    throw Error(ErrorKind::user,
                fmt::format("Error parsing forwarding, must be a tcp address: address {}: {}", address, why));
  };
  if (last == address.npos) bad_address("missing port in address");
  tunnel.host = address.substr(0, last);
  if (tunnel.host.size() >= 2 && tunnel.host.front() == '[' && tunnel.host.back() == ']') {
    tunnel.host = tunnel.host.substr(1, tunnel.host.size() - 2);
  } else if (contains(tunnel.host, ":")) {
    bad_address("too many colons in address");
  }
  tunnel.port = parse_tunnel_port(address.substr(last + 1), "forwarding");
  return tunnel;
}

const OptionTable<CommunicatorConfig>& communicator_options() {
  static const Table table = [] {
    Table t;
    t.add(&Config::communicator, {.name = "communicator",
                                  .default_text = "ssh",
                                  .doc = "How the machine is reached: ssh, winrm or none."});
    t.add(&Config::pause_before_connecting,
          {.name = "pause_before_connecting",
           .default_text = "0s",
           .doc = "After the first connection: wait this long, then connect again."});
    add_login_options(t);
    add_session_options(t);
    add_route_options(t);
    add_winrm_options(t);
    return t;
  }();
  return table;
}

void prepare_communicator(CommunicatorConfig& config, const PrepareInput& input,
                          const std::vector<std::string>& custom_types) {
  if (config.communicator.empty()) config.communicator = "ssh";
  const std::string& type = config.communicator;
  if (type == "ssh") return prepare_ssh(config, input);
  if (type == "winrm") return prepare_winrm(config, input);
  if (type == "none") return;
  if (std::find(custom_types.begin(), custom_types.end(), type) != custom_types.end()) return;
  std::vector<std::string> known = {"ssh", "winrm", "none"};
  known.insert(known.end(), custom_types.begin(), custom_types.end());
  auto nearest = nearest_name(type, known);
  input.diagnostics.error(fmt::format("Communicator type {} is invalid", type), "",
                          range_of(input, "communicator"),
                          nearest ? fmt::format("Did you mean \"{}\"?", *nearest) : "It is ssh, winrm or none.");
}

}  // namespace kiln
