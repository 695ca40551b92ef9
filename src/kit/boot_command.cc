#include "kit/boot_command.h"

#include <fmt/format.h>

#include <array>

#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

struct KeyRow {
  std::string_view name;  ///< lower case
  BootKey key;
  uint32_t keysym;
  std::string_view qcode;
};

// Longer names before their prefixes (f10 before f1, leftX before left): the first match wins.
constexpr std::array<KeyRow, 41> key_rows{{
    {"bs", BootKey::bs, 0xFF08, "backspace"},
    {"del", BootKey::del, 0xFFFF, "delete"},
    {"enter", BootKey::enter, 0xFF0D, "ret"},
    {"esc", BootKey::esc, 0xFF1B, "esc"},
    {"f10", BootKey::f10, 0xFFC7, "f10"},
    {"f11", BootKey::f11, 0xFFC8, "f11"},
    {"f12", BootKey::f12, 0xFFC9, "f12"},
    {"f1", BootKey::f1, 0xFFBE, "f1"},
    {"f2", BootKey::f2, 0xFFBF, "f2"},
    {"f3", BootKey::f3, 0xFFC0, "f3"},
    {"f4", BootKey::f4, 0xFFC1, "f4"},
    {"f5", BootKey::f5, 0xFFC2, "f5"},
    {"f6", BootKey::f6, 0xFFC3, "f6"},
    {"f7", BootKey::f7, 0xFFC4, "f7"},
    {"f8", BootKey::f8, 0xFFC5, "f8"},
    {"f9", BootKey::f9, 0xFFC6, "f9"},
    {"return", BootKey::return_key, 0xFF0D, "ret"},
    {"tab", BootKey::tab, 0xFF09, "tab"},
    {"up", BootKey::up, 0xFF52, "up"},
    {"down", BootKey::down, 0xFF54, "down"},
    {"spacebar", BootKey::spacebar, 0x20, "spc"},
    {"insert", BootKey::insert, 0xFF63, "insert"},
    {"home", BootKey::home, 0xFF50, "home"},
    {"end", BootKey::end, 0xFF57, "end"},
    {"pageup", BootKey::page_up, 0xFF55, "pgup"},
    {"pagedown", BootKey::page_down, 0xFF56, "pgdn"},
    {"leftalt", BootKey::left_alt, 0xFFE9, "alt"},
    {"leftctrl", BootKey::left_ctrl, 0xFFE3, "ctrl"},
    {"leftshift", BootKey::left_shift, 0xFFE1, "shift"},
    {"rightalt", BootKey::right_alt, 0xFFEA, "alt_r"},
    {"rightctrl", BootKey::right_ctrl, 0xFFE4, "ctrl_r"},
    {"rightshift", BootKey::right_shift, 0xFFE2, "shift_r"},
    {"leftsuper", BootKey::left_super, 0xFFEB, "meta_l"},
    {"rightsuper", BootKey::right_super, 0xFFEC, "meta_r"},
    {"leftcommand", BootKey::left_command, 0xFFE9, "alt"},
    {"rightcommand", BootKey::right_command, 0xFFEA, "alt_r"},
    {"leftoption", BootKey::left_option, 0xFFE7, "meta_l"},
    {"rightoption", BootKey::right_option, 0xFFE8, "meta_r"},
    {"left", BootKey::left, 0xFF51, "left"},
    {"right", BootKey::right, 0xFF53, "right"},
    {"menu", BootKey::menu, 0xFF67, "menu"},
}};

const KeyRow* find_key(std::string_view name) {
  for (const auto& row : key_rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

const KeyRow* find_key(BootKey key) {
  for (const auto& row : key_rows) {
    if (row.key == key) return &row;
  }
  return nullptr;
}

/// One UTF-8 character from the front of `text`; a bad byte stands for itself.
char32_t take_character(std::string_view& text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  size_t length = byte(0) < 0x80 ? 1 : byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : byte(0) >= 0xC0 ? 2 : 1;
  if (length > text.size() || !is_valid_utf8(text.substr(0, length))) length = 1;
  char32_t out = byte(0);
  if (length > 1) {
    out = byte(0) & (0xFFU >> (length + 1));
    for (size_t i = 1; i < length; ++i) out = (out << 6) | (byte(i) & 0x3FU);
  }
  text.remove_prefix(length);
  return out;
}

bool all_digits(std::string_view text) {
  for (char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return !text.empty();
}

/// "<wait...>" without the brackets. nullopt: it is no wait, so it is text.
std::optional<Duration> parse_wait(std::string_view tag) {
  if (!tag.starts_with("wait")) return std::nullopt;
  tag.remove_prefix(4);
  if (tag.empty()) return std::chrono::seconds(1);
  if (all_digits(tag)) {
    bool plain = tag == "0" || tag[0] != '0';  // an integer has no leading zero
    if (!plain || tag.size() > 9) return std::nullopt;
    return std::chrono::seconds(std::stol(std::string(tag)));
  }
  if (tag.starts_with('+')) return std::nullopt;
  return parse_go_duration(tag);
}

/// "<aOn>", "<leftShiftOff>": the key and whether it goes down.
std::optional<BootAction> parse_toggle(std::string_view tag) {
  std::string folded = lower(tag);
  BootAction action;
  size_t cut = 0;
  if (folded.ends_with("on")) {
    action.kind = BootActionKind::hold;
    cut = 2;
  } else if (folded.ends_with("off")) {
    action.kind = BootActionKind::release;
    cut = 3;
  } else {
    return std::nullopt;
  }
  std::string_view name = tag.substr(0, tag.size() - cut);
  if (const auto* row = find_key(std::string_view(folded).substr(0, name.size()))) {
    action.key = row->key;
    return action;
  }
  if (name.empty()) return std::nullopt;
  std::string_view rest = name;
  action.character = take_character(rest);
  if (!rest.empty()) return std::nullopt;
  return action;
}

constexpr std::string_view shifted_symbols = "~!@#$%^&*()_+{}|:\"<>?";

}  // namespace

BootActions parse_boot_command(std::string_view text) {
  BootActions out;
  while (!text.empty()) {
    size_t close = text.starts_with('<') ? text.find('>', 1) : std::string_view::npos;
    // "<>>" style toggles ("<>On>") name the character ">": the bracket that closes is the next one.
    if (close == 1 && text.size() > 2) {
      size_t next = text.find('>', 2);
      if (next != std::string_view::npos && parse_toggle(text.substr(1, next - 1))) close = next;
    }
    if (close != std::string_view::npos) {
      std::string_view tag = text.substr(1, close - 1);
      std::optional<BootAction> action;
      if (auto wait = parse_wait(tag)) {
        if (*wait <= Duration(0)) {
          out.error = fmt::format("Expecting a positive wait value. Got {}", format_go_duration(*wait));
          return out;
        }
        action = BootAction{.kind = BootActionKind::wait, .wait = *wait};
      } else if (const auto* row = find_key(lower(tag))) {
        action = BootAction{.key = row->key};
      } else {
        action = parse_toggle(tag);
      }
      if (action) {
        out.actions.push_back(*action);
        text.remove_prefix(close + 1);
        continue;
      }
    }
    out.actions.push_back({.character = take_character(text)});
  }
  return out;
}

uint32_t boot_keysym(const BootAction& action) {
  if (action.key == BootKey::character) {
    if (action.character == '\n' || action.character == '\r') return 0xFF0D;
    if (action.character == '\t') return 0xFF09;
    return action.character;
  }
  return find_key(action.key)->keysym;
}

bool boot_needs_shift(const BootAction& action) {
  if (action.key != BootKey::character || action.character >= 0x80) return false;
  char c = static_cast<char>(action.character);
  return (c >= 'A' && c <= 'Z') || (c != 0 && shifted_symbols.find(c) != std::string_view::npos);
}

std::string boot_qcode(const BootAction& action) {
  if (action.key != BootKey::character) return std::string(find_key(action.key)->qcode);
  if (action.character >= 0x80) return "";
  char c = static_cast<char>(action.character);
  if (c >= 'A' && c <= 'Z') return std::string(1, static_cast<char>(c - 'A' + 'a'));
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return std::string(1, c);
  constexpr std::string_view from = "~!@#$%^&*()_+{}|:\"<>?";
  constexpr std::string_view base = "`1234567890-=[]\\;',./";
  if (size_t at = from.find(c); at != std::string_view::npos) c = base[at];
  switch (c) {
    case '`': return "grave_accent";
    case '-': return "minus";
    case '=': return "equal";
    case '[': return "bracket_left";
    case ']': return "bracket_right";
    case '\\': return "backslash";
    case ';': return "semicolon";
    case '\'': return "apostrophe";
    case ',': return "comma";
    case '.': return "dot";
    case '/': return "slash";
    case ' ': return "spc";
    case '\t': return "tab";
    case '\n':
    case '\r': return "ret";
    default: return c >= '0' && c <= '9' ? std::string(1, c) : "";
  }
}

std::vector<KeyStroke> boot_keystrokes(const std::vector<BootAction>& actions) {
  std::vector<KeyStroke> out;
  const KeyStroke shift{.keysym = 0xFFE1, .qcode = "shift"};
  auto move = [&](KeyStroke stroke, bool down) {
    stroke.down = down;
    out.push_back(std::move(stroke));
  };
  for (const auto& action : actions) {
    if (action.kind == BootActionKind::wait) {
      out.push_back({.is_wait = true, .wait = action.wait});
      continue;
    }
    KeyStroke key{.keysym = boot_keysym(action), .qcode = boot_qcode(action)};
    bool shifted = boot_needs_shift(action);
    if (action.kind != BootActionKind::release) {
      if (shifted) move(shift, true);
      move(key, true);
    }
    if (action.kind != BootActionKind::hold) {
      move(key, false);
      if (shifted) move(shift, false);
    }
  }
  return out;
}

const OptionTable<BootConfig>& boot_options() {
  static const OptionTable<BootConfig> table = [] {
    OptionTable<BootConfig> t;
    t.add(&BootConfig::boot_command,
          {.name = "boot_command", .doc = "Keys typed when the machine has started, after boot_wait.", .raw = true});
    t.add(&BootConfig::boot_steps,
          {.name = "boot_steps",
           .doc = "The same in pieces: a list of [command, description]. Not together with boot_command.",
           .raw = true});
    t.add(&BootConfig::boot_wait,
          {.name = "boot_wait", .default_text = "10s", .doc = "How long to wait before boot_command is typed."});
    t.add(&BootConfig::boot_key_interval,
          {.name = "boot_key_interval", .default_text = "100ms", .doc = "The pause between two key events."});
    t.add(&BootConfig::boot_keygroup_interval,
          {.name = "boot_keygroup_interval", .default_text = "100ms",
           .doc = "The pause between groups of keys, for builders that send scan codes."});
    return t;
  }();
  return table;
}

SourceRange option_range(const Value& object, std::string_view name) {
  const Value* value = object.find(name);
  return value && value->range.known() ? value->range : object.range;
}

void prepare_boot(const Value& object, BootConfig& boot, const TemplateScope& scope, Diagnostics& diagnostics) {
  boot.boot_wait_set = object.find("boot_wait") != nullptr;
  if (boot.boot_wait < Duration(0)) boot.boot_wait = Duration(0);
  if (!boot.boot_command.empty() && !boot.boot_steps.empty()) {
    diagnostics.error("Both boot command and boot steps cannot be used.", "", option_range(object, "boot_steps"));
  }
  auto check = [&](const std::string& text, std::string_view option) {
    SourceRange range = option_range(object, option);
    if (auto error = validate_template(text, scope)) {
      diagnostics.error(fmt::format("Error preparing {}: {}", option, *error), "", range);
      return;
    }
    if (auto error = parse_boot_command(text).error) {
      diagnostics.error(fmt::format("Error validating {}: {}", option, *error), "", range,
                        "A wait is \"<wait>\", \"<wait5>\" or \"<wait1m30s>\".");
    }
  };
  check(join(boot.boot_command, ""), "boot_command");
  for (const auto& step : boot.boot_steps) {
    if (step.empty() || step.size() > 2) {
      diagnostics.error("boot_steps: each step is a list of a command and a description", "",
                        option_range(object, "boot_steps"));
      continue;
    }
    check(step[0], "boot_steps");
  }
}

Duration boot_key_interval(const BootConfig& boot) {
  if (boot.boot_key_interval > Duration(0)) return boot.boot_key_interval;
  if (auto text = get_env("PACKER_KEY_INTERVAL")) {
    if (auto parsed = parse_go_duration(*text)) return *parsed;
  }
  return std::chrono::milliseconds(100);
}

}  // namespace kiln
