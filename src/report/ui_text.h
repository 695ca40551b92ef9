// Packer's text for events, as pure functions: prefixes, colours, the lines of a build's end, machine
// escapes. Source of the rules: packer-surface 1.4 (items 3-8) and part 2, checked against Packer 1.16.
#pragma once
#include <string>
#include <string_view>

#include "core/event.h"

namespace kiln {

/// Which of Packer's three kinds of line an event is.
enum class LineLevel { say, message, error };

/// A line of Packer's UI, complete but for colour and time stamp.
struct UiLine {
  LineLevel level = LineLevel::say;
  std::string text;  ///< may hold several lines, each prefixed already
};

/// Whether the event is text of Packer's UI (say, message, error, and the end of a build), or of ours: a check.
bool is_ui_event(const Event& event);
/// Its text: "==> NAME: " before every line of a build's words, "==> NAME (LABEL): " with a label; the line
/// about how a build ended; plain text when it is the program's own. Trailing white space of prefixed lines
/// is dropped.
UiLine ui_line(const Event& event);
/// The ANSI colour of the build that comes `index`th: green, cyan, magenta, yellow, blue, then again.
int build_color(size_t index);
/// Bold and coloured as Packer writes it; `color` is an ANSI number (31 is red).
std::string colored(std::string_view text, int color);
/// A field of a machine-readable record: commas, carriage returns and line feeds escaped.
std::string machine_escape(std::string_view field);
/// "SECONDS,TARGET,TYPE,DATA...\n". Without data the line ends in a comma, as Packer's does.
std::string machine_line(int64_t unix_seconds, std::string_view target, std::string_view type,
                         const std::vector<std::string>& data);

}  // namespace kiln
