#include "kit/cd_image.h"

#include <fmt/format.h>

#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "kit/boot_command.h"

namespace kiln {

const OptionTable<CdConfig>& cd_options() {
  static const OptionTable<CdConfig> table = [] {
    OptionTable<CdConfig> t;
    t.add(&CdConfig::cd_files, {.name = "cd_files", .doc = "Files, globs and directories put on a CD.", .reads = true});
    t.add(&CdConfig::cd_content, {.name = "cd_content", .doc = "Files put on it, by path, with their text."});
    t.add(&CdConfig::cd_label, {.name = "cd_label", .default_text = "packer", .doc = "The CD's label."});
    return t;
  }();
  return table;
}

void prepare_cd(const Value& object, CdConfig& cd, Diagnostics& diagnostics) {
  if (cd.cd_label.empty()) cd.cd_label = "packer";
  std::error_code ignored;
  for (const auto& path : cd.cd_files) {
    if (path.find_first_of("*?[") != std::string::npos || fs::exists(path, ignored)) continue;
    diagnostics.error(fmt::format("Bad CD disk file '{}': stat {}: no such file or directory", path, path), "",
                      option_range(object, "cd_files"));
  }
}

std::vector<std::string> cd_programs() { return {"xorriso", "mkisofs", "genisoimage"}; }

std::vector<std::string> cd_command(const std::string& program, const std::string& label, const fs::path& root,
                                    const fs::path& out) {
  if (program == "xorriso") {
    return {"xorriso", "-as", "genisoimage", "-rock", "-joliet", "-volid", label, "-output", out.string(),
            root.string()};
  }
  return {program, "-joliet", "-volid", label, "-rock", "-o", out.string(), root.string()};
}

namespace {

/// "dir/" and "dir" both put the directory itself on the CD, as Packer does for a plain name; with a trailing
/// slash only what is in it.
void put_on_cd(const fs::path& source, const fs::path& root) {
  std::error_code error;
  auto how = fs::copy_options::recursive | fs::copy_options::overwrite_existing | fs::copy_options::copy_symlinks;
  fs::path target = source.filename().empty() ? root : root / source.filename();
  fs::copy(source, target, how, error);
  if (error) throw Error(ErrorKind::user, fmt::format("cannot put {} on the CD: {}", source.string(), error.message()));
}

}  // namespace

void make_cd_image(const CdConfig& cd, const fs::path& out, const Deadline& deadline, const Stop& stop) {
  fs::path root = out.string() + ".tree";
  fs::create_directory(root);
  struct Remove {
    const fs::path& root;
    ~Remove() {
      std::error_code ignored;
      fs::remove_all(root, ignored);
    }
  } remove{root};
  for (const auto& named : cd.cd_files) {
    bool pattern = named.find_first_of("*?[") != std::string::npos;
    auto sources = pattern ? glob(named) : std::vector<fs::path>{named};
    if (sources.empty()) throw Error(ErrorKind::user, "cd_files: nothing matches " + named);
    for (const auto& source : sources) put_on_cd(source, root);
  }
  for (const auto& [name, text] : cd.cd_content) {
    fs::path inside = fs::path(name).relative_path().lexically_normal();
    if (inside.empty() || *inside.begin() == "..") throw Error(ErrorKind::user, "cd_content: a bad path: " + name);
    fs::create_directories((root / inside).parent_path());
    write_file_atomically(root / inside, text);
  }
  for (const auto& program : cd_programs()) {
    if (!find_program(program)) continue;
    run_checked({cd_command(program, cd.cd_label, root, out)}, deadline, stop);
    return;
  }
  throw Error(ErrorKind::environment,
              "could not find a supported CD ISO creation command (the supported commands are: " +
                  join(cd_programs(), ", ") + ")");
}

}  // namespace kiln
