// The reference pages, made from the option tables.
#pragma once
#include <string>
#include <vector>

#include "core/components.h"

namespace kiln {

/// A component as the reference shows it.
struct ReferencePage {
  std::string kind;  ///< "builder", "provisioner", "post-processor", "tester", ...
  std::string type;
  std::string summary;
  std::vector<OptionDoc> options;
};
std::vector<ReferencePage> reference_pages(const Components& components);

struct ReferenceFile {
  std::string name;  ///< "builder-qemu.md", "README.md"
  std::string text;
};
/// One Markdown file a component, and README.md with the list.
std::vector<ReferenceFile> reference_files(const std::vector<ReferencePage>& pages);

}  // namespace kiln
