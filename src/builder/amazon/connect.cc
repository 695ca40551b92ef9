// The way into a running instance: its address, Windows' password, the tunnel of the session manager.
#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "builder/amazon/running.h"
#include "builder/amazon/session_manager.h"
#include "communicator/none/none.h"
#include "communicator/ssh/ssh.h"
#include "communicator/winrm/winrm.h"
#include "lang/hcl_function.h"

namespace kiln::amazon {

namespace {

constexpr int address_tries = 3;
constexpr auto address_pause = std::chrono::seconds(1);
constexpr auto password_pause = std::chrono::seconds(5);
constexpr auto look_again_after = std::chrono::seconds(15);

/// Where AWS gives an address late, the private one is better than none.
std::string wait_for_address(Running& running, StageContext& context) {
  for (int attempt = 0;; ++attempt) {
    std::string address = choose_address(running.run, running.instance);
    if (!address.empty()) return address;
    if (attempt == address_tries) break;
    sleep_for(address_pause, context.stop);
    auto instance = describe_instance(running, Deadline::in(std::chrono::minutes(1)), context.stop);
    if (instance) running.instance = std::move(*instance);
  }
  std::string address = running.instance.text_at("privateIpAddress");
  if (!address.empty() && running.run.ssh_interface.empty()) return address;
  throw Error(ErrorKind::remote,
              fmt::format("couldn't determine address for instance {}{}", running.instance_id,
                          running.run.ssh_interface.empty() ? "" : ": it has no " + running.run.ssh_interface));
}

/// By the function that templates have for it.
std::string decrypt_password(const std::string& encrypted, const std::string& key) {
  try {
    const HclFunction& function = hcl_functions().at("rsadecrypt");
    return call_hcl_function(function, {HclValue::string(encrypted), HclValue::string(key)}, {}).as_string();
  } catch (const HclFunctionError& error) {
    throw Error(ErrorKind::remote, "Error decrypting auto-generated instance password: " + error.message);
  }
}

/// Ends the wait for a connection when there is nothing left to connect to.
class LifeSign {
 public:
  explicit LifeSign(Running& running, const Stop& stop) : running_(running), stop_(stop) {}
  void check() {
    if (Clock::now() < next_) return;
    next_ = Clock::now() + look_again_after;
    auto instance = describe_instance(running_, Deadline::in(std::chrono::minutes(1)), stop_);
    std::string state = instance ? instance->text_at("instanceState/name") : "running";
    if (state == "running" || state == "pending") return;
    throw Error(ErrorKind::remote, fmt::format("the instance {} is {}: {}", running_.instance_id, state,
                                               instance->text_at("stateReason/message")));
  }

 private:
  Running& running_;
  Stop stop_;
  Clock::time_point next_ = Clock::now() + look_again_after;
};

std::unique_ptr<Communicator> connect_by_ssh(Running& running, StageContext& context) {
  std::optional<std::string> key;
  if (!running.private_key.empty()) key = running.private_key;
  auto life = std::make_shared<LifeSign>(running, context.stop);
  SshTarget target{running.comm.ssh_host, running.comm.ssh_port};
  auto resolver = [life, target]() -> std::optional<SshTarget> {
    life->check();
    return target;
  };
  return connect_ssh(running.comm, resolver, context, key);
}

std::unique_ptr<Communicator> connect_by_winrm(Running& running, StageContext& context) {
  WinrmSettings settings{winrm_endpoint(running.comm), running.comm.winrm_timeout,
                         running.comm.pause_before_connecting};
  auto life = std::make_shared<LifeSign>(running, context.stop);
  WinrmTarget target{running.comm.winrm_host, running.comm.winrm_port};
  auto resolver = [life, target]() -> std::optional<WinrmTarget> {
    life->check();
    return target;
  };
  return connect_winrm(settings, resolver, context);
}

}  // namespace

std::string choose_address(const RunConfig& config, const AwsElement& instance) {
  const std::string& wanted = config.ssh_interface;
  auto at = [&](const char* name) { return instance.text_at(name); };
  if (wanted == "public_ip") return at("ipAddress");
  if (wanted == "private_ip") return at("privateIpAddress");
  if (wanted == "public_dns") return at("dnsName");
  if (wanted == "private_dns") return at("privateDnsName");
  if (wanted == "ipv6") {
    for (const AwsElement* nic : instance.items("networkInterfaceSet")) {
      for (const AwsElement* address : nic->items("ipv6AddressesSet")) return address->text_at("ipv6Address");
    }
    return "";
  }
  if (!at("ipAddress").empty()) return at("ipAddress");
  return at("vpcId").empty() ? at("dnsName") : "";
}

void get_windows_password(Running& running, StageContext& context) {
  const CommunicatorConfig& comm = running.run.comm;
  if (comm.communicator != "winrm" || !comm.winrm_password.empty()) return;
  std::string key =
      running.private_key.empty() ? read_file(expand_home(comm.ssh_private_key_file)) : running.private_key;
  context.ui.say("Waiting for auto-generated password for instance...");
  context.ui.message(
      "It is normal for this process to take up to 15 minutes,\nbut it usually takes around 5. Please wait.");
  AwsWait wait{password_pause, password_pause, running.run.windows_password_timeout};
  std::string encrypted;
  aws_wait_until("password", wait, context.stop, [&](const Deadline& deadline) {
    AwsElement answer =
        running.client->query("ec2", "GetPasswordData", {{"InstanceId", running.instance_id}}, deadline, context.stop);
    encrypted = std::string(trim(answer.text_at("passwordData")));
    return !encrypted.empty();
  });
  running.windows_password = decrypt_password(encrypted, key);
  context.ui.message("Password retrieved!");
  if (context.build.debug) context.ui.message("Password (since debug is enabled): " + running.windows_password);
}

void connect_instance(const std::shared_ptr<Running>& running, StageContext& context) {
  running->comm = running->run.comm;
  CommunicatorConfig& comm = running->comm;
  if (comm.communicator == "none") {
    running->communicator = make_none_communicator();
    return;
  }
  std::string& host = comm.communicator == "winrm" ? comm.winrm_host : comm.ssh_host;
  int& port = comm.communicator == "winrm" ? comm.winrm_port : comm.ssh_port;
  if (comm.communicator == "winrm" && comm.winrm_password.empty()) comm.winrm_password = running->windows_password;
  if (host.empty() && running->run.by_session_manager()) {
    host = "localhost";
    port = open_session_tunnel(running, port, context);
  } else if (host.empty()) {
    host = wait_for_address(*running, context);
  }
  running->communicator =
      comm.communicator == "winrm" ? connect_by_winrm(*running, context) : connect_by_ssh(*running, context);
}

}  // namespace kiln::amazon
