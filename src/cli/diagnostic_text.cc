#include "cli/diagnostic_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "lang/hcl_ast.h"

namespace kiln {

namespace {

bool same_place(const SourceRange& a, const SourceRange& b) {
  return a.file == b.file && a.begin == b.begin && a.end == b.end;
}

bool lies_within(const SourceRange& inner, const SourceRange& outer) {
  return inner.known() && inner.file == outer.file && inner.begin >= outer.begin && inner.end <= outer.end &&
         !same_place(inner, outer);
}

/// Errors before warnings, and without what only follows from a misspelt option: a component with an unknown
/// key is not also told, about itself as a whole, what it lacks.
std::vector<Diagnostic> in_telling_order(const std::vector<Diagnostic>& all) {
  std::vector<Diagnostic> out;
  for (const auto& d : all) {
    bool follows = std::any_of(all.begin(), all.end(), [&](const Diagnostic& other) {
      return contains(other.detail, "unknown configuration key") && lies_within(other.range, d.range) &&
             d.summary.starts_with("Failed to prepare build");
    });
    if (!follows) out.push_back(d);
  }
  // Errors first: what is wrong with one build then stands together.
  std::stable_partition(out.begin(), out.end(),
                        [](const Diagnostic& d) { return d.severity == Severity::error; });
  return out;
}

/// Where the mistakes are: once a place, with the hints that belong to it.
std::string places_text(const std::vector<const Diagnostic*>& items, bool with_source) {
  std::string out;
  const SourceRange* last = nullptr;
  for (const auto* item : items) {
    bool again = last && same_place(*last, item->range);
    last = &item->range;
    if (again && item->hint.empty()) continue;
    std::string place = again ? "" : render_place(item->range);
    if (!with_source) place = std::string(place.substr(0, place.find(":\n"))) + (place.empty() ? "" : "\n");
    out += place;
    if (!item->hint.empty()) out += "  " + replace_all(item->hint, "\n", "\n  ") + "\n";
    if (!place.empty() || !item->hint.empty()) out += "\n";
  }
  return out;
}

/// Texts that Packer shows alone, not as a list of errors.
bool stands_alone(const std::string& text) {
  for (auto start : {"Error parsing JSON", "'' expected", "Failed to interpolate", "This template requires",
                     "min_version is invalid", "Error decoding", "template has duplicate field"}) {
    if (text.starts_with(start)) return true;
  }
  return contains(text, " occurred:\n");
}

std::string body_text(Severity severity, const std::string& head, const std::vector<std::string>& texts) {
  if (severity == Severity::warning) return wrap_text(join(texts, "\n"));
  if (texts.size() == 1 && (stands_alone(texts[0]) || head.starts_with("Failed to initialize")))
    return wrap_text(texts[0]);
  return multierror_text(texts);
}

/// A mistake as head ("Failed to prepare build: "x"", or nothing) and text.
struct Legacy {
  std::string head;
  std::string text;
};

/// Components report their text as the summary alone; core puts a head over it.
Legacy legacy_of(const Diagnostic& d) {
  if (d.detail.empty()) return {"", d.summary};
  return {d.summary, d.detail};
}

}  // namespace

std::string wrap_text(const std::string& text) {
  constexpr size_t width = 80;
  std::string out;
  for (const auto& line : split(text, '\n')) {
    if (line.size() <= width || line[0] == ' ' || line[0] == '\t') {
      out += line + "\n";
      continue;
    }
    std::string current;
    for (const auto& word : split(line, ' ')) {
      if (!current.empty() && current.size() + 1 + word.size() > width) {
        out += current + "\n";
        current.clear();
      }
      current += current.empty() ? word : " " + word;
    }
    out += current + "\n";
  }
  out.pop_back();
  return out;
}

std::string multierror_text(const std::vector<std::string>& errors) {
  std::string out =
      errors.size() == 1 ? "1 error occurred:\n" : fmt::format("{} errors occurred:\n", errors.size());
  for (const auto& error : errors) out += "\t* " + error + "\n";
  return out + "\n";
}

std::string not_legacy_text(const std::string& original_error) {
  return "Failed to parse file as legacy JSON template: if you are using an HCL template, check your file extensions; "
         "they should be either *.pkr.hcl or *.pkr.json; see the docs for more details: "
         "https://www.packer.io/docs/templates/hcl_templates. \nOriginal error: " +
         original_error;
}

std::string legacy_parse_text(const Diagnostics& diagnostics) {
  std::vector<std::string> texts;
  std::vector<const Diagnostic*> items;
  bool syntax = false;
  for (const auto& d : diagnostics.items()) {
    if (d.severity != Severity::error) continue;
    syntax = syntax || d.summary.starts_with("Error parsing JSON");
    texts.push_back(d.detail.empty() ? d.summary : d.summary + "\n" + d.detail);
    items.push_back(&d);
  }
  std::string original =
      texts.size() == 1 && stands_alone(texts[0]) ? texts[0] + "\n" : multierror_text(texts);
  return not_legacy_text(std::string(trim_right(original))) + "\n\n" + places_text(items, !syntax);
}

std::string legacy_prepare_text(const Diagnostics& diagnostics) {
  std::string out;
  const auto all = in_telling_order(diagnostics.items());
  for (size_t i = 0; i < all.size();) {
    Legacy first = legacy_of(all[i]);
    std::vector<std::string> texts;
    std::vector<const Diagnostic*> items;
    for (size_t from = i; i < all.size(); ++i) {
      Legacy next = legacy_of(all[i]);
      if (next.head != first.head || all[i].severity != all[from].severity) break;
      bool alone = stands_alone(next.text) || next.head.starts_with("Failed to initialize");
      if (alone && i > from) break;
      if (!next.text.empty()) texts.push_back(next.text);
      items.push_back(&all[i]);
      if (alone) {
        ++i;
        break;
      }
    }
    out += items[0]->severity == Severity::error ? "Error: " : "Warning: ";
    out += first.head + "\n\n";
    if (!texts.empty())
      out += std::string(trim_right(body_text(items[0]->severity, first.head, texts))) + "\n\n";
    out += places_text(items, true);
  }
  return out;
}

namespace {

/// `source "null" "x"`: the outermost block around a place. The file is read again: mistakes are rare.
std::string block_around(const SourceRange& range) {
  if (!range.file->name.ends_with(".hcl")) return "";
  Diagnostics ignored;
  const HclBody body = parse_hcl(range.file, ignored);
  for (const auto& block : body.blocks()) {
    if (range.begin < block.range.begin || range.begin >= block.range.end) continue;
    std::string out = ", in " + block.type;
    for (const auto& label : block.labels) out += " " + go_quote(label.text);
    return out;
  }
  return "";
}

/// Lines of the file as "   N: text", with a caret and FILE:LINE:COLUMN under the first.
std::string marked_lines(const SourceRange& range) {
  constexpr size_t most_lines = 12;
  auto from = line_column(range);
  size_t last = std::max(from.line, line_column({range.file, range.end, range.end}).line);
  auto lines = split(range.file->text, '\n');
  std::string out;
  for (size_t line = from.line; line <= last && line <= lines.size(); ++line) {
    if (line - from.line == most_lines) {
      out += "      ...\n";
      break;
    }
    out += fmt::format("{:4}: {}\n", line, lines[line - 1]);
    if (line != from.line) continue;
    std::string place = render_place(range);
    std::string marked = place.substr(place.rfind('\n', place.size() - 2) + 1);
    if (marked.find('^') != std::string::npos) {
      out += fmt::format("{}  {}:{}:{}\n", trim_right(marked), range.file->name, from.line, from.column);
    }
  }
  return out;
}

/// Packer's place line, then the lines meant: of a block its first, and what in it is wrong.
std::string hcl_place_text(const Diagnostic& d) {
  if (!d.range.known()) return "";
  bool within = d.block.known() && d.block.file == d.range.file;
  const SourceRange& named = within ? d.block : d.range;
  auto line = line_column(named).line;
  std::string out = fmt::format("  on {} line {}{}:\n", named.file->name, line, block_around(named));
  if (within && line_column(d.range).line != line) {
    auto lines = split(named.file->text, '\n');
    out += fmt::format("{:4}: {}\n", line, line <= lines.size() ? lines[line - 1] : "");
  }
  return out + marked_lines(d.range) + "\n";
}

/// "with var.x set to null,\n     var.y as "abc".": the values that the mistake's expression had.
std::string hcl_values_text(const std::vector<std::string>& values) {
  return values.empty() ? "" : "with " + join(values, ",\n     ") + ".\n\n";
}

}  // namespace

std::string hcl_text(const Diagnostics& diagnostics) {
  std::vector<Diagnostic> all;
  // A step that several builds share is wrong once.
  for (const auto& d : diagnostics.items()) {
    bool told = std::any_of(all.begin(), all.end(), [&](const Diagnostic& other) {
      return other.summary == d.summary && other.detail == d.detail && other.values == d.values &&
             same_place(other.range, d.range);
    });
    if (!told) all.push_back(d);
  }
  std::stable_partition(all.begin(), all.end(), [](const Diagnostic& d) { return d.severity == Severity::error; });
  std::string out;
  for (const auto& d : all) {
    out += fmt::format("{}: {}\n\n", d.severity == Severity::error ? "Error" : "Warning", d.summary);
    out += hcl_place_text(d) + hcl_values_text(d.values);
    if (!d.detail.empty()) out += std::string(trim_right(wrap_text(d.detail))) + "\n\n";
    if (!d.hint.empty()) out += wrap_text(d.hint) + "\n\n";
  }
  return out;
}

}  // namespace kiln
