#include "post_processor/shell_local/shell_local.h"

#include "kit/local_shell.h"

namespace kiln {

namespace {

class ShellLocalPostProcessor : public PostProcessor {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = prepare_local_shell(input, "post-processor shell-local");
  }
  PostProcessed run(const Artifact& input, StageContext& context) override {
    run_local_shell(config_, context);
    return {input, true, true};
  }

 private:
  LocalShellConfig config_;
};

}  // namespace

ComponentEntry<PostProcessor> shell_local_post_processor() {
  return {"shell-local", "Runs scripts on this machine after the build.", local_shell_options,
          [] { return std::make_unique<ShellLocalPostProcessor>(); }};
}

}  // namespace kiln
