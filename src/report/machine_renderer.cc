// Packer's -machine-readable: one record a line, escaped as Packer does it.
#include <chrono>

#include "base/error.h"
#include "report/renderer.h"
#include "report/ui_text.h"

namespace kiln {

namespace {

class MachineRenderer : public Renderer {
 public:
  using Renderer::Renderer;

  void emit(const Event& event) override {
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(event.time.time_since_epoch()).count();
    if (event.kind == EventKind::machine) {
      std::vector<std::string> data;
      for (const auto& field : event.data) data.push_back(masked(field));
      put(machine_line(seconds, event.stage, event.type, data));
    } else if (event.kind == EventKind::check) {
      std::vector<std::string> data{event.type, masked(event.text)};
      for (size_t i = 0; i < 4; ++i) data.push_back(i < event.data.size() ? masked(event.data[i]) : "");
      data.push_back(std::to_string(event.duration.count()));
      put(machine_line(seconds, event.stage, "check", data));
    } else if (is_ui_event(event)) {
      UiLine line = ui_line(event);
      static constexpr const char* levels[] = {"say", "message", "error"};
      put(machine_line(seconds, "", "ui", {levels[static_cast<int>(line.level)], masked(line.text)}));
    }
  }

  std::string ask(const std::string&, const std::string&, const Stop&) override {
    throw Error(ErrorKind::environment, "machine-readable UI can't ask");
  }

 private:
  void put(const std::string& line) {
    std::lock_guard lock(mutex_);
    write(line);
  }

  std::mutex mutex_;
};

}  // namespace

std::unique_ptr<Renderer> make_machine_renderer(const RenderOptions& options) {
  return std::make_unique<MachineRenderer>(options);
}

}  // namespace kiln
