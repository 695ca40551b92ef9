#include "report/ui_text.h"

#include <fmt/format.h>

#include "base/text.h"

namespace kiln {

bool is_ui_event(const Event& event) {
  switch (event.kind) {
    case EventKind::say:
    case EventKind::message:
    case EventKind::error:
    case EventKind::stage_finished:
    case EventKind::check:
      return true;
    default:
      return false;
  }
}

static std::string prefixed(const std::string& prefix, std::string_view text) {
  std::string out;
  for (const auto& line : split(trim_right(text), '\n')) {
    if (!out.empty()) out += '\n';
    out += trim_right(prefix + line);
  }
  return out;
}

static UiLine end_of_build(const Event& event) {
  std::string took = format_duration_words(event.duration);
  if (event.text.empty())
    return {LineLevel::say, fmt::format("Build '{}' finished after {}.", event.stage, took)};
  return {LineLevel::error, fmt::format("Build '{}' errored after {}: {}", event.stage, took, event.text)};
}

static std::string indented(const std::string& what, const std::string& text) {
  if (text.empty()) return "";
  return fmt::format("\n        {}{}", what, replace_all(std::string(trim_right(text)), "\n", "\n        "));
}

static std::string check_field(const Event& event, size_t index) {
  return index < event.data.size() ? event.data[index] : "";
}

/// One result of a test; of a failure everything that is known.
static UiLine check_line(const Event& event) {
  std::string message = check_field(event, 0);
  UiLine line;
  std::string text = event.text;
  if (event.duration >= std::chrono::milliseconds(50)) {
    text += fmt::format(" ({:.1f} s)", std::chrono::duration<double>(event.duration).count());
  }
  if (event.type == "passed") {
    line.text = "    ok  " + text;
  } else if (event.type == "skipped") {
    line.text = "    skipped " + event.text + (message.empty() ? "" : ": " + message);
  } else {
    line.level = LineLevel::error;
    line.text = "    FAILED  " + text + indented("expected: ", check_field(event, 1)) +
                indented("found: ", check_field(event, 2)) + indented("", message) +
                indented("at ", check_field(event, 3));
  }
  return line;
}

UiLine ui_line(const Event& event) {
  if (event.kind == EventKind::stage_finished) return end_of_build(event);
  if (event.kind == EventKind::check) {
    UiLine line = check_line(event);
    if (!event.stage.empty()) line.text = prefixed(fmt::format("==> {}: ", event.stage), line.text);
    return line;
  }
  UiLine line;
  if (event.kind == EventKind::error) line.level = LineLevel::error;
  if (event.stage.empty()) {
    if (event.kind == EventKind::message) line.level = LineLevel::message;
    line.text = event.text;
    return line;
  }
  // Packer 1.16 shows a build's messages like its says.
  std::string label = event.label.empty() ? "" : " " + event.label;
  line.text = prefixed(fmt::format("==> {}{}: ", event.stage, label), event.text);
  return line;
}

int build_color(size_t index) {
  static constexpr int cycle[] = {32, 36, 35, 33, 34};
  return cycle[index % std::size(cycle)];
}

std::string colored(std::string_view text, int color) {
  return fmt::format("\033[1;{}m{}\033[0m", color, text);
}

std::string machine_escape(std::string_view field) {
  std::string out;
  out.reserve(field.size());
  for (char c : field) {
    if (c == ',')
      out += "%!(PACKER_COMMA)";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

std::string machine_line(int64_t unix_seconds, std::string_view target, std::string_view type,
                         const std::vector<std::string>& data) {
  std::string fields;
  for (const auto& field : data) fields += "," + machine_escape(field);
  if (data.empty()) fields = ",";
  return fmt::format("{},{},{}{}\n", unix_seconds, target, type, fields);
}

}  // namespace kiln
