#include "provisioner/sleep/sleep.h"

namespace kiln {

namespace {

struct SleepConfig {
  Duration duration{0};
};

const OptionTable<SleepConfig>& sleep_options() {
  static const OptionTable<SleepConfig> table = [] {
    OptionTable<SleepConfig> made;
    made.add(&SleepConfig::duration,
             {.name = "duration", .default_text = "0s", .doc = "How long to wait.", .in_key = false});
    return made;
  }();
  return table;
}

class SleepProvisioner : public Provisioner {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = {};
    DecodeContext decode = input.decode("provisioner sleep");
    sleep_options().decode(input.config, config_, decode);
  }
  void run(Communicator&, StageContext& context) override {
    if (config_.duration > Duration::zero()) sleep_for(config_.duration, context.stop);
  }

 private:
  SleepConfig config_;
};

}  // namespace

ComponentEntry<Provisioner> sleep_provisioner() {
  return {"sleep", "Waits.", sleep_options, [] { return std::make_unique<SleepProvisioner>(); }};
}

}  // namespace kiln
