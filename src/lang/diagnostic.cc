#include "lang/diagnostic.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

static size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

LineColumn line_column(const SourceRange& range) {
  if (!range.file) return {};
  std::string_view text = range.file->text;
  size_t begin = std::min(range.begin, text.size());
  auto before = text.substr(0, begin);
  size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  size_t start = before.rfind('\n');
  start = start == std::string_view::npos ? 0 : start + 1;
  return {line, 1 + characters(before.substr(start))};
}

void Diagnostics::error(std::string summary, std::string detail, SourceRange range, std::string hint) {
  add({Severity::error, std::move(summary), std::move(detail), std::move(range), std::move(hint)});
}
void Diagnostics::warning(std::string summary, std::string detail, SourceRange range, std::string hint) {
  add({Severity::warning, std::move(summary), std::move(detail), std::move(range), std::move(hint)});
}
void Diagnostics::append(const Diagnostics& other) {
  items_.insert(items_.end(), other.items_.begin(), other.items_.end());
}
bool Diagnostics::has_errors() const {
  return std::any_of(items_.begin(), items_.end(), [](auto& d) { return d.severity == Severity::error; });
}

std::string render_place(const SourceRange& range) {
  if (!range.file) return {};
  std::string_view text = range.file->text;
  size_t begin = std::min(range.begin, text.size());
  size_t end = std::clamp(range.end, begin, text.size());
  size_t start = begin == 0 ? std::string_view::npos : text.rfind('\n', begin - 1);
  start = start == std::string_view::npos ? 0 : start + 1;
  size_t stop = std::min(text.find('\n', begin), text.size());
  auto at = line_column(range);
  std::string line(text.substr(start, std::min<size_t>(stop - start, 400)));
  std::string pad;
  for (char c : text.substr(start, begin - start)) {
    if (c == '\t') pad += '\t';
    else if ((c & 0xC0) != 0x80) pad += ' ';
  }
  size_t width = std::max<size_t>(1, characters(text.substr(begin, std::min(end, stop) - begin)));
  std::string out = fmt::format("  on {}:{}:{}:\n", range.file->name, at.line, at.column);
  out += fmt::format("{:4}: {}\n", at.line, line);
  if (pad.size() < 400) out += fmt::format("      {}{}\n", pad, std::string(std::min<size_t>(width, 80), '^'));
  return out;
}

std::string render_diagnostic(const Diagnostic& d) {
  std::string out = d.severity == Severity::error ? "Error: " : "Warning: ";
  out += d.summary + "\n\n";
  std::string place = render_place(d.range);
  if (!place.empty()) out += place + "\n";
  if (!d.detail.empty()) out += d.detail + "\n\n";
  if (!d.hint.empty()) out += d.hint + "\n\n";
  return out;
}

std::string render_diagnostics(const Diagnostics& diagnostics) {
  std::string out;
  for (const auto& d : diagnostics.items()) out += render_diagnostic(d);
  return out;
}

}  // namespace kiln
