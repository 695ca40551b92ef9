#include <fmt/format.h>

#include "base/text.h"
#include "builder/qemu/machine.h"
#include "wire/vnc.h"

namespace kiln::qemu {

namespace {

constexpr auto boot_answer_limit = std::chrono::seconds(20);

/// Something that takes key movements.
class Keyboard {
 public:
  virtual ~Keyboard() = default;
  virtual void move(const KeyStroke& stroke, const Stop& stop) = 0;
};

class VncKeyboard : public Keyboard {
 public:
  VncKeyboard(const std::string& host, int port, const std::string& password, const Stop& stop)
      : client_(RfbClient::connect(host, port, password, Deadline::in(boot_answer_limit), stop)) {}
  void move(const KeyStroke& stroke, const Stop& stop) override {
    client_.key(stroke.keysym, stroke.down, Deadline::in(boot_answer_limit), stop);
  }

 private:
  RfbClient client_;
};

class QmpKeyboard : public Keyboard {
 public:
  explicit QmpKeyboard(QmpClient& qmp) : qmp_(qmp) {}
  void move(const KeyStroke& stroke, const Stop& stop) override {
    if (stroke.qcode.empty()) return;  // no key of a US keyboard
    nlohmann::json event{{"type", "key"},
                         {"data", {{"down", stroke.down}, {"key", {{"type", "qcode"}, {"data", stroke.qcode}}}}}};
    qmp_.execute("input-send-event", {{"events", nlohmann::json::array({event})}}, Deadline::in(boot_answer_limit),
                 stop);
  }

 private:
  QmpClient& qmp_;
};

std::vector<KeyStroke> rendered_strokes(const std::string& text, const Value& fields, StageContext& context) {
  Rendered rendered = render_template_once(text, context.scope, fields);
  if (!rendered.ok()) throw Error(ErrorKind::user, "Error preparing boot command: " + *rendered.error);
  BootActions parsed = parse_boot_command(rendered.text);
  if (parsed.error) throw Error(ErrorKind::user, "Error generating boot command: " + *parsed.error);
  return boot_keystrokes(parsed.actions);
}

void play(const std::vector<KeyStroke>& strokes, Keyboard& keyboard, Duration interval, const Stop& stop) {
  for (const auto& stroke : strokes) {
    if (stroke.is_wait) {
      sleep_for(stroke.wait, stop);
      continue;
    }
    keyboard.move(stroke, stop);
    sleep_for(interval, stop);
  }
}

}  // namespace

void type_boot_command(const Config& config, Running& running, StageContext& context) {
  Vm& vm = *running.vm;
  vm.while_alive(context.stop, [&](const Stop& stop) {
    if (config.boot.boot_wait > Duration(0)) {
      context.ui.say(fmt::format("Waiting {} for boot...", format_go_duration(config.boot.boot_wait)));
      sleep_for(config.boot.boot_wait, stop);
    }
    if (!config.boot.has_command()) return;
    Value fields = Value::empty_object();
    fields.set("HTTPIP", running.values.http_ip);
    fields.set("HTTPPort", running.values.http_port);
    fields.set("Name", config.vm_name);
    fields.set("SSHPublicKey", running.public_key);
    std::unique_ptr<Keyboard> keyboard;
    if (running.vnc_port != 0) {
      std::string host = config.vnc_bind_address == "0.0.0.0" ? "127.0.0.1" : config.vnc_bind_address;
      context.ui.say(fmt::format("Connecting to VM via VNC ({}:{})", host, running.vnc_port));
      keyboard = std::make_unique<VncKeyboard>(host, running.vnc_port, running.vnc_password, stop);
      context.ui.say("Typing the boot command(s) over VNC...");
    } else {
      context.ui.say("Typing the boot command(s) over QMP...");
      keyboard = std::make_unique<QmpKeyboard>(vm.qmp());
    }
    Duration interval = boot_key_interval(config.boot);
    if (!config.boot.boot_command.empty()) {
      play(rendered_strokes(join(config.boot.boot_command, ""), fields, context), *keyboard, interval, stop);
    }
    for (const auto& step : config.boot.boot_steps) {
      if (step.size() > 1 && !step[1].empty()) context.ui.say("Typing boot command: " + step[1]);
      play(rendered_strokes(step.at(0), fields, context), *keyboard, interval, stop);
    }
  });
}

}  // namespace kiln::qemu
