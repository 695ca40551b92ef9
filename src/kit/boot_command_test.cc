#include "kit/boot_command.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace kiln {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Actions as text: "a", "[enter]", "+[leftShift]", "-a", "w1500".
std::string shown(std::string_view text) {
  BootActions parsed = parse_boot_command(text);
  if (parsed.error) return "error: " + *parsed.error;
  std::vector<std::string> out;
  for (const auto& action : parsed.actions) {
    if (action.kind == BootActionKind::wait) {
      out.push_back("w" + std::to_string(std::chrono::duration_cast<milliseconds>(action.wait).count()));
      continue;
    }
    std::string key = action.key == BootKey::character
                          ? std::to_string(action.character)
                          : "[" + hex_encode(std::string(1, static_cast<char>(action.key))) + "]";
    if (action.key == BootKey::character && action.character > 32 && action.character < 127) {
      key = std::string(1, static_cast<char>(action.character));
    }
    std::string sign = action.kind == BootActionKind::hold ? "+" : action.kind == BootActionKind::release ? "-" : "";
    out.push_back(sign + key);
  }
  return join(out, " ");
}

std::string key_text(BootKey key) { return "[" + hex_encode(std::string(1, static_cast<char>(key))) + "]"; }

TEST(BootCommand, Literals) {
  for (auto [text, expected] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", ""},
           {"ab", "a b"},
           {"A<b", "A < b"},
           {"<foo>", "< f o o >"},
           {"<>", "< >"},
           {"<", "<"},
           {">", ">"},
           {"<<enter>", "< [03]"},
           {"a\nb", "a 10 b"},
           {"é", "233"},
           {"<Wait>", "< W a i t >"},
           {"<wait05>", "< w a i t 0 5 >"},
           {"<wait5x>", "< w a i t 5 x >"},
           {"<wait 5>", "< w a i t 32 5 >"},
           {"<on>", "< o n >"},
           {"<abOn>", "< a b O n >"},
       }) {
    EXPECT_EQ(shown(text), expected) << text;
  }
}

TEST(BootCommand, Waits) {
  EXPECT_EQ(shown("<wait>"), "w1000");
  EXPECT_EQ(shown("<wait5>"), "w5000");
  EXPECT_EQ(shown("<wait10><wait1m30s>"), "w10000 w90000");
  EXPECT_EQ(shown("<wait500ms>"), "w500");
  EXPECT_EQ(shown("<wait1.5s>"), "w1500");
  EXPECT_EQ(shown("<wait1h>"), "w3600000");
  for (const auto* bad : {"<wait0>", "<wait0s>", "<wait-5s>", "a<wait0ms>"}) {
    EXPECT_TRUE(contains(shown(bad), "Expecting a positive wait value")) << bad << " " << shown(bad);
  }
}

struct KeyRow {
  const char* name;
  BootKey key;
  uint32_t keysym;
  const char* qcode;
};

constexpr KeyRow every_key[] = {
    {"bs", BootKey::bs, 0xFF08, "backspace"},   {"del", BootKey::del, 0xFFFF, "delete"},
    {"enter", BootKey::enter, 0xFF0D, "ret"},   {"return", BootKey::return_key, 0xFF0D, "ret"},
    {"esc", BootKey::esc, 0xFF1B, "esc"},       {"tab", BootKey::tab, 0xFF09, "tab"},
    {"f1", BootKey::f1, 0xFFBE, "f1"},          {"f2", BootKey::f2, 0xFFBF, "f2"},
    {"f9", BootKey::f9, 0xFFC6, "f9"},          {"f10", BootKey::f10, 0xFFC7, "f10"},
    {"f11", BootKey::f11, 0xFFC8, "f11"},       {"f12", BootKey::f12, 0xFFC9, "f12"},
    {"up", BootKey::up, 0xFF52, "up"},          {"down", BootKey::down, 0xFF54, "down"},
    {"left", BootKey::left, 0xFF51, "left"},    {"right", BootKey::right, 0xFF53, "right"},
    {"spacebar", BootKey::spacebar, 0x20, "spc"}, {"insert", BootKey::insert, 0xFF63, "insert"},
    {"home", BootKey::home, 0xFF50, "home"},    {"end", BootKey::end, 0xFF57, "end"},
    {"pageUp", BootKey::page_up, 0xFF55, "pgup"}, {"pageDown", BootKey::page_down, 0xFF56, "pgdn"},
    {"leftAlt", BootKey::left_alt, 0xFFE9, "alt"}, {"leftCtrl", BootKey::left_ctrl, 0xFFE3, "ctrl"},
    {"leftShift", BootKey::left_shift, 0xFFE1, "shift"}, {"rightAlt", BootKey::right_alt, 0xFFEA, "alt_r"},
    {"rightCtrl", BootKey::right_ctrl, 0xFFE4, "ctrl_r"}, {"rightShift", BootKey::right_shift, 0xFFE2, "shift_r"},
    {"leftSuper", BootKey::left_super, 0xFFEB, "meta_l"}, {"rightSuper", BootKey::right_super, 0xFFEC, "meta_r"},
    {"leftCommand", BootKey::left_command, 0xFFE9, "alt"}, {"rightCommand", BootKey::right_command, 0xFFEA, "alt_r"},
    {"leftOption", BootKey::left_option, 0xFFE7, "meta_l"}, {"rightOption", BootKey::right_option, 0xFFE8, "meta_r"},
    {"menu", BootKey::menu, 0xFF67, "menu"},
};

TEST(BootCommand, EveryKeyInAnyCaseAndItsToggles) {
  for (const auto& row : every_key) {
    std::string name = row.name;
    for (const auto& spelled : {name, lower(name), upper(name)}) {
      EXPECT_EQ(shown("<" + spelled + ">"), key_text(row.key)) << spelled;
      EXPECT_EQ(shown("<" + spelled + "On>"), "+" + key_text(row.key)) << spelled;
      EXPECT_EQ(shown("<" + spelled + "OFF>"), "-" + key_text(row.key)) << spelled;
    }
    BootAction action{.key = row.key};
    EXPECT_EQ(boot_keysym(action), row.keysym) << name;
    EXPECT_EQ(boot_qcode(action), row.qcode) << name;
  }
}

TEST(BootCommand, CharacterToggles) {
  EXPECT_EQ(shown("<aOn><aOff>"), "+a -a");
  EXPECT_EQ(shown("<XON><xoff>"), "+X -x");
  EXPECT_EQ(shown("<éOn>"), "+233");
  EXPECT_EQ(shown("<leftCtrlOn>c<leftCtrlOff>"),
            "+" + key_text(BootKey::left_ctrl) + " c -" + key_text(BootKey::left_ctrl));
}

/// "+ffe1 +41 -41 -ffe1"
std::string strokes(std::string_view text) {
  std::vector<std::string> out;
  for (const auto& stroke : boot_keystrokes(parse_boot_command(text).actions)) {
    if (stroke.is_wait) {
      out.push_back("wait");
      continue;
    }
    std::string hex;
    for (uint32_t v = stroke.keysym; v != 0; v >>= 4) hex.insert(hex.begin(), "0123456789abcdef"[v & 15]);
    out.push_back((stroke.down ? "+" : "-") + hex + "/" + stroke.qcode);
  }
  return join(out, " ");
}

TEST(BootCommand, ShiftSurroundsWhatNeedsIt) {
  EXPECT_EQ(strokes("a"), "+61/a -61/a");
  EXPECT_EQ(strokes("A"), "+ffe1/shift +41/a -41/a -ffe1/shift");
  EXPECT_EQ(strokes("<AOn>"), "+ffe1/shift +41/a");
  EXPECT_EQ(strokes("<AOff>"), "-41/a -ffe1/shift");
  EXPECT_EQ(strokes(":"), "+ffe1/shift +3a/semicolon -3a/semicolon -ffe1/shift");
  EXPECT_EQ(strokes("<wait><enter>"), "wait +ff0d/ret -ff0d/ret");
  for (char c : std::string("~!@#$%^&*()_+{}|:\"<>?")) {
    EXPECT_TRUE(boot_needs_shift({.character = static_cast<char32_t>(c)})) << c;
    EXPECT_FALSE(boot_qcode({.character = static_cast<char32_t>(c)}).empty()) << c;
  }
  for (char c : std::string("`1234567890-=[]\\;',./ abcxyz")) {
    EXPECT_FALSE(boot_needs_shift({.character = static_cast<char32_t>(c)})) << c;
    EXPECT_FALSE(boot_qcode({.character = static_cast<char32_t>(c)}).empty()) << c;
  }
}

TEST(BootCommand, OptionsAreJudged) {
  TemplateScope scope;
  auto complaints = [&](BootConfig boot, const Value& object = Value::empty_object()) {
    Diagnostics diagnostics;
    prepare_boot(object, boot, scope, diagnostics);
    std::vector<std::string> out;
    for (const auto& item : diagnostics.items()) out.push_back(item.summary);
    return join(out, "\n");
  };
  EXPECT_EQ(complaints({.boot_command = {"a", "<wait5>{{ .HTTPIP }}<enter>"}}), "");
  EXPECT_EQ(complaints({.boot_steps = {{"a<enter>", "first"}, {"b"}}}), "");
  EXPECT_TRUE(contains(complaints({.boot_command = {"<wait0>"}}), "positive wait"));
  EXPECT_TRUE(contains(complaints({.boot_command = {"{{ nofunc }}"}}), "nofunc"));
  EXPECT_TRUE(contains(complaints({.boot_steps = {{}}}), "each step is a list"));
  EXPECT_TRUE(contains(complaints({.boot_command = {"a"}, .boot_steps = {{"b"}}}), "cannot be used"));
}

}  // namespace
}  // namespace kiln
