// CD images with answer files, made by xorriso, mkisofs or genisoimage (packer-surface 7.4).
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/wait.h"
#include "lang/option.h"

namespace kiln {

struct CdConfig {
  std::vector<std::string> cd_files;
  std::map<std::string, std::string> cd_content;
  std::string cd_label;
  bool wanted() const { return !cd_files.empty() || !cd_content.empty(); }
};
const OptionTable<CdConfig>& cd_options();
/// Named files must exist.
void prepare_cd(const Value& object, CdConfig& cd, Diagnostics& diagnostics);

/// The command that turns directory `root` into image `out`; `program` is one of cd_programs(). Pure.
std::vector<std::string> cd_command(const std::string& program, const std::string& label,
                                    const std::filesystem::path& root, const std::filesystem::path& out);
/// In the order they are tried.
std::vector<std::string> cd_programs();
/// Makes the image (by way of the directory OUT.tree, which is gone afterwards). Throws Error{environment} naming the programs when none is installed.
void make_cd_image(const CdConfig& cd, const std::filesystem::path& out, const Deadline& deadline,
                   const Stop& stop);

}  // namespace kiln
