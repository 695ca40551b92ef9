// fmt: HCL2 files in canonical form (packer-surface 1.3, 5.14).
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/diagnostic_text.h"
#include "lang/hcl_ast.h"
#include "lang/hcl_format.h"

namespace kiln {

namespace {

/// Exit code of -check when a file is not in canonical form.
constexpr int unformatted = 3;

bool is_formattable(std::string_view name) {
  return name.ends_with(".pkr.hcl") || name.ends_with(".pkrvars.hcl");
}

/// Names of editors' backups and hidden files, which a directory may hold beside its templates.
bool is_ignored(std::string_view name) {
  return name.starts_with('.') || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'));
}

/// "FILE:LINE,COLUMN-COLUMN", or "FILE:LINE,COLUMN-LINE,COLUMN" over several lines, as HCL names a place.
std::string place_text(const SourceRange& range) {
  LineColumn begin = line_column(range);
  LineColumn end = line_column({range.file, std::max(range.begin, range.end), range.end});
  std::string to = begin.line == end.line ? "" : fmt::format("{},", end.line);
  return fmt::format("{}:{},{}-{}{}", range.file->name, begin.line, begin.column, to, end.column);
}

/// Packer's list of mistakes, then each with its source line and carets, which Packer does not show.
std::string syntax_text(const Diagnostics& diagnostics) {
  std::vector<std::string> list;
  std::string places;
  for (const auto& d : diagnostics.items()) {
    std::string text = fmt::format("{}: {}; {}", place_text(d.range), d.summary, d.detail);
    constexpr std::string_view bullet = "** ";  // as wide as what stands before the text in the list
    list.push_back(wrap_text(std::string(bullet) + text).substr(bullet.size()));
    places += render_place(d.range);
    if (!d.hint.empty()) places += "  " + d.hint + "\n";
  }
  return multierror_text(list) + places;
}

class FormatRun {
 public:
  explicit FormatRun(const CommandOptions& options) : options_(options) {}

  void argument(const std::string& path) {
    std::error_code ignored;
    if (path != "-" && fs::is_directory(path, ignored))
      directory(path);
    else if (path == "-" || is_formattable(path))
      one(path);
    else
      fail(path, fmt::format("file {} is not a HCL file\n", path));
  }

  bool has_changes() const { return changed_ > 0; }
  /// What went wrong, all of it; empty: nothing.
  const std::string& errors() const { return errors_; }

 private:
  void fail(const std::string& path, const std::string& what) {
    errors_ += fmt::format("Error: encountered an error while formatting {}\n\n{}\n", path, what);
  }

  void directory(const std::string& path) {
    std::error_code error;
    std::vector<fs::directory_entry> entries;
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
      entries.push_back(*it);
    if (error) {
      errors_ += fmt::format("Error: Cannot read hcl directory\n\nopen {}: {}\n\n", path,
                             go_errno_text(error.value()));
      return;
    }
    std::sort(entries.begin(), entries.end());
    for (const auto& entry : entries) {
      std::string name = entry.path().filename().string();
      std::string inside = (fs::path(path) / name).lexically_normal().string();
      if (is_ignored(name)) continue;
      if (entry.is_directory(error)) {
        if (options_.recursive && !entry.is_symlink(error)) directory(inside);
      } else if (is_formattable(name)) {
        one(inside);
      }
    }
  }

  /// A file, or standard input: "-".
  void one(const std::string& path) {
    try {
      auto file = std::make_shared<SourceFile>(SourceFile{path, path == "-" ? standard_input() : read_source(path)});
      const std::string& text = file->text;
      Diagnostics diagnostics;
      parse_hcl(file, diagnostics);
      if (diagnostics.has_errors()) return fail(path, syntax_text(diagnostics));
      std::string formatted = format_hcl(text);
      if (formatted != text) ++changed_;
      const bool writes = options_.write && !options_.check;
      if (path == "-") {
        if (writes) write_all(STDOUT_FILENO, formatted);
        return;
      }
      if (formatted == text) return;
      write_all(STDOUT_FILENO, path + "\n");
      if (writes) replace(path, formatted);
      if (options_.diff) write_all(STDOUT_FILENO, difference(path, text, formatted));
    } catch (const Error& error) {
      fail(path, error.message() + "\n");
    }
  }

  static std::string standard_input() {
    std::string text;
    for (std::string part; !(part = read_some(STDIN_FILENO)).empty();) text += part;
    return text;
  }

  static std::string read_source(const std::string& path) {
    try {
      return read_file(path);
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("failed to open {}: {}", path, error.message()));
    }
  }

  /// The file keeps its mode and, where we may, its owner; a link keeps pointing to it.
  static void replace(const std::string& path, const std::string& text) {
    fs::path target = fs::canonical(path);
    Fd old(::open(target.c_str(), O_WRONLY | O_CLOEXEC));
    struct stat status {};
    if (!old.is_open() || ::fstat(old.get(), &status) != 0)
      throw Error(ErrorKind::user, fmt::format("open {}: {}", path, go_errno_text(errno)));
    if (::access(target.parent_path().c_str(), W_OK) != 0) {  // no place for a second file: written over
      if (::ftruncate(old.get(), 0) != 0) throw_errno("write " + path);
      return write_all(old.get(), text);
    }
    write_file_atomically(target, text);
    if (::chown(target.c_str(), status.st_uid, status.st_gid) != 0) {
      // It is ours now, as after any editor that renames.
    }
    if (::chmod(target.c_str(), status.st_mode & 07777) != 0) throw_errno("chmod " + path);
  }

  static std::string difference(const std::string& path, const std::string& before,
                                const std::string& after) {
    TempDir directory("kiln-fmt");
    write_file_atomically(directory.path() / "old", before);
    write_file_atomically(directory.path() / "new", after);
    Command command;
    command.argv = {"diff",
                    "-u",
                    "--label=old/" + path,
                    "--label=new/" + path,
                    (directory.path() / "old").string(),
                    (directory.path() / "new").string()};
    auto result = run(command, Deadline::in(std::chrono::minutes(1)), Stop());
    if (result.status.code > 1)
      throw Error(ErrorKind::environment, "diff: " + std::string(trim_right(result.err)));
    return result.out;
  }

  const CommandOptions& options_;
  size_t changed_ = 0;
  std::string errors_;
};

}  // namespace

int run_fmt(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.empty()) return show_help;
  FormatRun run(options);
  for (const auto& path : arguments) run.argument(path);
  if (!run.errors().empty()) {
    invocation.ui().error(run.errors());
    return 1;
  }
  return options.check && run.has_changes() ? unformatted : 0;
}

}  // namespace kiln
