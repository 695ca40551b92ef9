#include "provisioner/shell_local/shell_local.h"

#include "kit/local_shell.h"

namespace kiln {

namespace {

class ShellLocalProvisioner : public Provisioner {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = prepare_local_shell(input, "provisioner shell-local");
  }
  void run(Communicator&, StageContext& context) override { run_local_shell(config_, context); }

 private:
  LocalShellConfig config_;
};

}  // namespace

ComponentEntry<Provisioner> shell_local_provisioner() {
  return {"shell-local", "Runs scripts on this machine.", local_shell_options,
          [] { return std::make_unique<ShellLocalProvisioner>(); }};
}

}  // namespace kiln
