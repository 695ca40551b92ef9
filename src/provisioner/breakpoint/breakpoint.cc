#include "provisioner/breakpoint/breakpoint.h"

#include <fmt/format.h>

#include "base/error.h"

namespace kiln {

namespace {

struct BreakpointConfig {
  std::string note;
  bool disable = false;
};

const OptionTable<BreakpointConfig>& breakpoint_options() {
  static const OptionTable<BreakpointConfig> table = [] {
    OptionTable<BreakpointConfig> made;
    made.add(&BreakpointConfig::note, {.name = "note", .doc = "Shown with the pause.", .in_key = false});
    made.add(&BreakpointConfig::disable,
             {.name = "disable", .default_text = "false", .doc = "Go on without pausing.", .in_key = false});
    return made;
  }();
  return table;
}

class BreakpointProvisioner : public Provisioner {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = {};
    DecodeContext decode = input.decode("provisioner breakpoint");
    breakpoint_options().decode(input.config, config_, decode);
  }

  void run(Communicator&, StageContext& context) override {
    std::string note = config_.note.empty() ? "" : fmt::format("with note \"{}\"", config_.note);
    if (config_.disable) {
      std::string middle = note.empty() ? "" : note + " ";
      context.ui.say(fmt::format("Breakpoint provisioner {}disabled; continuing...", middle));
      return;
    }
    context.ui.say(fmt::format("Pausing at breakpoint provisioner{}{}.", note.empty() ? "" : " ", note));
    during("Error asking for input", [&] { context.ui.ask("Press enter to continue.", context.stop); });
  }

 private:
  BreakpointConfig config_;
};

}  // namespace

ComponentEntry<Provisioner> breakpoint_provisioner() {
  return {"breakpoint", "Pauses until someone presses Enter.", breakpoint_options,
          [] { return std::make_unique<BreakpointProvisioner>(); }};
}

}  // namespace kiln
