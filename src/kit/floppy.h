// Floppy images with answer files: FAT12, 1.44 MB, with long names (packer-surface 7.4).
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lang/option.h"

namespace kiln {

struct FloppyConfig {
  std::vector<std::string> floppy_files;  ///< files, globs, directories; all land in the root
  std::vector<std::string> floppy_dirs;   ///< directories that keep their tree
  std::map<std::string, std::string> floppy_content;
  std::string floppy_label;
  bool wanted() const { return !floppy_files.empty() || !floppy_dirs.empty() || !floppy_content.empty(); }
};
const OptionTable<FloppyConfig>& floppy_options();
/// Named files must exist.
void prepare_floppy(const Value& object, FloppyConfig& floppy, Diagnostics& diagnostics);

/// A file on the image: "dir/name" -> content.
using FloppyFiles = std::map<std::string, std::string>;
/// What the options name, read. Throws Error{user}.
FloppyFiles collect_floppy_files(const FloppyConfig& floppy);
/// The image. Throws Error{user} when the files do not fit or a name cannot be written. Pure.
std::string make_floppy_image(const FloppyFiles& files, std::string_view label);

}  // namespace kiln
