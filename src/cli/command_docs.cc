// docs: what the option tables know, for a terminal and as the reference pages.
#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/component_table.h"
#include "cli/diagnostic_text.h"
#include "cli/reference_pages.h"

namespace kiln {

namespace {

std::string options_text(const std::vector<OptionDoc>& options, size_t depth) {
  std::string indent(depth * 2, ' ');
  std::string out;
  for (const auto& option : options) {
    out += fmt::format("{}{} ({}{}{}{})\n", indent, option.name, option.type,
                       option.required ? ", required" : "", option.secret ? ", secret" : "",
                       option.default_text.empty() ? "" : ", default " + option.default_text);
    for (const auto& line : split(wrap_text(option.doc), '\n'))
      out += fmt::format("{}    {}\n", indent, line);
    if (!option.aliases.empty())
      out += fmt::format("{}    Also taken: {}.\n", indent, join(option.aliases, ", "));
    out += options_text(option.nested, depth + 2);
  }
  return out;
}

std::string page_text(const ReferencePage& page) {
  std::string out = fmt::format("{} {}: {}\n\n", page.kind, page.type, page.summary);
  return out + (page.options.empty() ? "  It has no options.\n" : options_text(page.options, 1));
}

/// Room for the longest name of a kind.
size_t type_width(const std::vector<ReferencePage>& pages, const std::string& kind) {
  size_t width = 14;
  for (const auto& page : pages) {
    if (page.kind == kind) width = std::max(width, page.type.size());
  }
  return width;
}

std::string list_text(const std::vector<ReferencePage>& pages) {
  std::string out, kind;
  for (const auto& page : pages) {
    if (page.kind != kind) out += fmt::format("{}{}s\n", kind.empty() ? "" : "\n", page.kind);
    kind = page.kind;
    out += fmt::format("  {:<{}} {}\n", page.type, type_width(pages, kind), page.summary);
  }
  return out;
}

}  // namespace

int run_docs(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  auto pages = reference_pages(component_table());
  if (options.markdown) {
    fs::create_directories(options.output);
    for (const auto& file : reference_files(pages)) {
      write_file_atomically(fs::path(options.output) / file.name, file.text);
    }
    invocation.ui().say("Wrote the reference pages into " + options.output);
    return 0;
  }
  if (arguments.empty()) {
    invocation.ui().say(list_text(pages) + "\n" + invocation.program +
                        " docs COMPONENT shows the options of one.");
    return 0;
  }
  std::string out;
  std::vector<std::string> names;
  for (const auto& page : pages) {
    names.push_back(page.type);
    if (page.type == arguments[0]) out += (out.empty() ? "" : "\n") + page_text(page);
  }
  if (out.empty()) {
    auto nearest = nearest_name(arguments[0], names);
    invocation.ui().error(fmt::format("There is no component \"{}\".{}", arguments[0],
                                      nearest ? fmt::format(" Did you mean \"{}\"?", *nearest) : ""));
    return 1;
  }
  invocation.ui().say(std::string(trim_right(out)));
  return 0;
}

}  // namespace kiln
