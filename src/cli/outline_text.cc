#include "cli/outline_text.h"

#include <fmt/format.h>

#include "base/text.h"

namespace kiln {

namespace {

constexpr size_t shown_key_digits = 12;

/// An option's value on one line; what is long is cut, for it can be read in the template.
std::string option_text(const Value& value) {
  constexpr size_t longest = 100;
  std::string text = value.is_string() ? go_quote(value.as_string()) : to_json(value);
  if (text.size() <= longest) return text;
  size_t cut = longest;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return text.substr(0, cut) + "...";
}

std::string outlined_step_text(const OutlinedStep& step, size_t number, const std::string& indent) {
  std::string called = step.name.empty() ? step.type : fmt::format("{} {}", step.type, go_quote(step.name));
  std::string key = step.key.substr(0, shown_key_digits);
  std::string line =
      fmt::format("{}  {:>2}  {:<56}  {}  {}", indent, number, step.kind + " " + called, key, step.cache);
  std::string out = std::string(trim_right(line)) + "\n";
  for (const auto& member : step.options.as_object()) {
    out += fmt::format("{}        {} = {}\n", indent, member.key, option_text(member.value));
  }
  return out;
}

}  // namespace

std::string outline_text(const OutlinedBuild& build, const std::string& indent) {
  std::string out = indent + build.name + "\n";
  for (size_t i = 0; i < build.steps.size(); ++i) out += outlined_step_text(build.steps[i], i + 1, indent);
  for (const auto& text : build.left_out) out += fmt::format("{}   -  left out: {}\n", indent, text);
  return out;
}

}  // namespace kiln
