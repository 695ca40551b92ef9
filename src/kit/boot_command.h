// boot_command: what is typed into a machine that starts (packer-surface 10.1 and 10.2).
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lang/option.h"

namespace kiln {

/// A key that has a name in the boot command language, or a character.
enum class BootKey : uint8_t {
  character, bs, del, enter, esc, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, return_key, tab, up, down, left,
  right, spacebar, insert, home, end, page_up, page_down, left_alt, left_ctrl, left_shift, right_alt, right_ctrl,
  right_shift, left_super, right_super, left_command, right_command, left_option, right_option, menu,
};

enum class BootActionKind { wait, press, hold, release };

/// One thing to do: wait, or press/hold/release a key.
struct BootAction {
  BootActionKind kind = BootActionKind::press;
  std::chrono::nanoseconds wait{0};
  BootKey key = BootKey::character;
  char32_t character = 0;  ///< when key is `character`
  bool operator==(const BootAction&) const = default;
};

/// The parsed command, or the mistake in it ("Expecting a positive wait value").
struct BootActions {
  std::vector<BootAction> actions;
  std::optional<std::string> error;
};

/// Parses the rendered text. Whatever is no tag is typed literally.
BootActions parse_boot_command(std::string_view text);

/// The key with its X11 keysym (RFB), and whether a US keyboard needs shift for it.
uint32_t boot_keysym(const BootAction& action);
bool boot_needs_shift(const BootAction& action);
/// The key as QEMU's QKeyCode names it ("ret", "a", "shift"); empty when a US keyboard has no such key.
std::string boot_qcode(const BootAction& action);

/// A single movement of a key or a wait: what a driver plays. Shift is already unfolded.
struct KeyStroke {
  bool is_wait = false;
  std::chrono::nanoseconds wait{0};
  bool down = false;
  uint32_t keysym = 0;
  std::string qcode;
};
std::vector<KeyStroke> boot_keystrokes(const std::vector<BootAction>& actions);

/// boot_* options that builders share. boot_command and boot_steps stay as written: they are rendered when typed.
struct BootConfig {
  std::vector<std::string> boot_command;
  std::vector<std::vector<std::string>> boot_steps;  ///< items of [command, description]
  Duration boot_wait = std::chrono::seconds(10);
  Duration boot_key_interval{0};  ///< 0: PACKER_KEY_INTERVAL, or 100 ms
  Duration boot_keygroup_interval{0};
  bool boot_wait_set = false;  ///< after prepare_boot
  bool has_command() const { return !boot_command.empty() || !boot_steps.empty(); }
};
const OptionTable<BootConfig>& boot_options();
/// Judges the options, with place in `object`.
void prepare_boot(const Value& object, BootConfig& boot, const TemplateScope& scope, Diagnostics& diagnostics);
/// The pause between two movements: the option, else PACKER_KEY_INTERVAL, else 100 ms.
Duration boot_key_interval(const BootConfig& boot);

/// The range of member `name` of `object`, or of the object itself: where a diagnostic points to.
SourceRange option_range(const Value& object, std::string_view name);

}  // namespace kiln
