#include "cli/reference_pages.h"

#include <fmt/format.h>

#include "base/text.h"

namespace kiln {

namespace {

std::string table_cell(std::string text) {
  return replace_all(replace_all(std::move(text), "|", "\\|"), "\n", " ");
}

std::string code_cell(const std::string& text) { return text.empty() ? "" : "`" + table_cell(text) + "`"; }

std::string option_remarks(const OptionDoc& option) {
  std::string out = table_cell(option.doc);
  auto add = [&](const std::string& text) { out += (out.empty() ? "" : " ") + text; };
  if (option.required) add("**Required.**");
  if (option.secret) add("Secret: never shown.");
  if (!option.aliases.empty()) add("Also taken: `" + join(option.aliases, "`, `") + "`.");
  return out;
}

std::string options_table(const std::vector<OptionDoc>& options) {
  std::string out = "| option | type | default | meaning |\n|---|---|---|---|\n";
  for (const auto& option : options) {
    out += fmt::format("| `{}` | {} | {} | {} |\n", option.name, table_cell(option.type),
                       code_cell(option.default_text), option_remarks(option));
  }
  for (const auto& option : options) {
    if (!option.nested.empty())
      out += fmt::format("\n### `{}`\n\n{}", option.name, options_table(option.nested));
  }
  return out;
}

std::string file_name(const ReferencePage& page) { return fmt::format("{}-{}.md", page.kind, page.type); }

template <class Entry>
void add_pages(const std::vector<Entry>& entries, const char* kind,
               std::vector<ReferencePage>& pages) {
  for (const auto& entry : entries) pages.push_back({kind, entry.type, entry.summary, entry.options()});
}

}  // namespace

std::vector<ReferencePage> reference_pages(const Components& components) {
  std::vector<ReferencePage> pages;
  add_pages(components.builders, "builder", pages);
  add_pages(components.provisioners, "provisioner", pages);
  add_pages(components.post_processors, "post-processor", pages);
  add_pages(components.data_sources, "data-source", pages);
  add_pages(components.testers, "tester", pages);
  return pages;
}

std::vector<ReferenceFile> reference_files(const std::vector<ReferencePage>& pages) {
  const std::string note = "<!-- Made by `kiln docs --markdown` from the option tables: do not edit. -->\n";
  std::vector<ReferenceFile> files;
  std::string list = note + "# Components and their options\n", kind;
  for (const auto& page : pages) {
    if (page.kind != kind) list += fmt::format("\n## {}s\n\n", page.kind);
    kind = page.kind;
    list += fmt::format("- [{}]({}): {}\n", page.type, file_name(page), page.summary);
    std::string text = fmt::format("{}# {} `{}`\n\n{}\n\n", note, page.kind, page.type, page.summary);
    text += page.options.empty() ? "It has no options.\n" : options_table(page.options);
    files.push_back({file_name(page), text});
  }
  files.push_back({"README.md", list});
  return files;
}

}  // namespace kiln
