#include "builder/null/null.h"

#include "communicator/none/none.h"
#include "communicator/ssh/config.h"
#include "communicator/ssh/ssh.h"
#include "communicator/winrm/winrm.h"

namespace kiln {

namespace {

class NullMachine : public Machine {
 public:
  NullMachine(const CommunicatorConfig& config, std::unique_ptr<Communicator> communicator)
      : config_(config), communicator_(std::move(communicator)) {}
  Communicator& communicator() override { return *communicator_; }
  Value build_data() override {
    Value data = Value::empty_object();
    data.set("ID", "Null");
    if (config_.communicator == "none") return data;
    data.set("ConnType", config_.communicator);
    data.set("Host", config_.host());
    data.set("Port", config_.port());
    data.set("User", config_.user());
    data.set("Password", config_.password());
    data.set("WinRMPassword", config_.winrm_password);
    data.set("SSHPublicKey", config_.ssh_public_key);
    data.set("SSHPrivateKey", config_.ssh_private_key);
    data.set("SSHPrivateKeyFile", config_.ssh_private_key_file);
    data.set("SSHAgentAuth", config_.ssh_agent_auth);
    return data;
  }

 private:
  const CommunicatorConfig& config_;
  std::unique_ptr<Communicator> communicator_;
};

class NullBuilder : public Builder {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = {};
    DecodeContext context = input.decode("builder null");
    communicator_options().decode(input.config, config_, context);
    prepare_communicator(config_, input);
    if (config_.communicator != "none") check_target(input);
  }

  std::unique_ptr<Machine> start(StageContext& context) override {
    std::unique_ptr<Communicator> communicator;
    context.step("StepConnect", [&] { communicator = connect(context); });
    return std::make_unique<NullMachine>(config_, std::move(communicator));
  }

  std::optional<Artifact> finish(Machine& machine, StageContext&) override {
    machine.communicator().disconnect();
    Artifact artifact;
    artifact.builder_id = "fnoeding.null";
    artifact.id = "Null";
    artifact.description = "Did not export anything. This is the null builder";
    Value generated = Value::empty_object();
    generated.set("ID", "Null");
    artifact.state.set("generated_data", generated);
    return artifact;
  }

 private:
  std::unique_ptr<Communicator> connect(StageContext& context) const {
    if (config_.communicator == "none") return make_none_communicator();
    if (config_.communicator == "ssh")
      return connect_ssh(config_, SshTarget{config_.ssh_host, config_.ssh_port}, context);
    WinrmSettings settings{winrm_endpoint(config_), config_.winrm_timeout, config_.pause_before_connecting};
    WinrmTarget target{config_.winrm_host, config_.winrm_port};
    return connect_winrm(settings, [target] { return std::optional(target); }, context);
  }

  /// What only this builder asks for: the machine is there already, so it must be told which and how.
  void check_target(const PrepareInput& input) const {
    auto require = [&](bool fine, const char* text) {
      if (!fine) input.diagnostics.error(text);
    };
    require(!config_.host().empty(), "a Host must be specified, please reference your communicator documentation");
    require(!config_.user().empty(), "a Username must be specified, please reference your communicator documentation");
    bool key = !config_.ssh_private_key_file.empty();
    require(!config_.password().empty() || key || config_.ssh_agent_auth,
            "one authentication method must be specified, please reference your communicator documentation");
    // Of ssh's alone, whichever communicator it is.
    int ways = static_cast<int>(config_.ssh_agent_auth) + static_cast<int>(!config_.ssh_password.empty()) +
               static_cast<int>(key);
    require(ways <= 1, "only one of ssh_agent_auth, ssh_password, and ssh_private_key_file must be specified");
  }

  CommunicatorConfig config_;
};

}  // namespace

ComponentEntry<Builder> null_builder() {
  return {"null", "Connects to a machine that is there already; makes no image.", communicator_options,
          [] { return std::make_unique<NullBuilder>(); }};
}

}  // namespace kiln
