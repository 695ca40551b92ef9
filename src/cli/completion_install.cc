// What -autocomplete-install writes: the same lines and files as Packer (posener/complete), so that either
// program can take away what the other one installed.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/completion.h"
#include "cli/diagnostic_text.h"

namespace kiln {

namespace {

/// Where completion of one shell is installed, and how.
struct ShellPlace {
  fs::path file;
  std::vector<std::string> lines;  ///< of a start-up file; the last one is what counts
  std::string whole;               ///< the whole text of a file of its own
};

std::string fish_text(const std::string& name, const std::string& binary) {
  return fmt::format(
      "\nfunction __complete_{0}\n    set -lx COMP_LINE (commandline -cp)\n    test -z (commandline -ct)\n"
      "    and set COMP_LINE \"$COMP_LINE \"\n    {1}\nend\ncomplete -f -c {0} -a \"(__complete_{0})\"\n\n",
      name, binary);
}

std::vector<ShellPlace> shell_places(const std::string& name, const std::string& binary) {
  std::vector<ShellPlace> places;
  fs::path home = get_env("HOME").value_or("");
  std::error_code ignored;
  for (auto file : {".bashrc", ".bash_profile", ".bash_login", ".profile"}) {
    if (!fs::exists(home / file, ignored)) continue;
    places.push_back({home / file, {fmt::format("complete -C {} {}", binary, name)}, ""});
    break;
  }
  if (fs::exists(home / ".zshrc", ignored))
    places.push_back({home / ".zshrc",
                      {"autoload -U +X bashcompinit && bashcompinit",
                       fmt::format("complete -o nospace -C {} {}", binary, name)},
                      ""});
  std::string config = get_env("XDG_CONFIG_HOME").value_or("");
  fs::path fish = (config.empty() ? home / ".config" : fs::path(config)) / "fish";
  if (fs::is_directory(fish, ignored))
    places.push_back({fish / "completions" / (name + ".fish"), {}, fish_text(name, binary)});
  return places;
}

bool has_line(const std::string& text, const std::string& line) {
  auto lines = split(text, '\n');
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

int mode_of(const fs::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? static_cast<int>(status.st_mode & 07777) : 0644;
}

/// Start-up files are often links into a repository of settings: the file behind is written.
void rewrite(const fs::path& file, const std::string& text) {
  write_file_atomically(fs::canonical(file), text, mode_of(file));
}

void install_at(const ShellPlace& place) {
  if (place.lines.empty()) {
    if (fs::exists(place.file)) throw Error(ErrorKind::user, "already installed at " + place.file.string());
    fs::create_directories(place.file.parent_path());
    write_file_atomically(place.file, place.whole);
    return;
  }
  std::string text = read_file(place.file);
  if (has_line(text, place.lines.back()))
    throw Error(ErrorKind::user, "already installed in " + place.file.string());
  std::string added;
  for (const auto& line : place.lines) {
    if (!has_line(text, line)) added += line + "\n";
  }
  rewrite(place.file, text + "\n" + added);
}

void uninstall_at(const ShellPlace& place) {
  bool installed =
      place.lines.empty() ? fs::exists(place.file) : has_line(read_file(place.file), place.lines.back());
  if (!installed) {
    fs::path where = place.lines.empty() ? place.file.parent_path().parent_path() : place.file;
    throw Error(ErrorKind::user, "does not installed in " + where.string());
  }
  if (place.lines.empty()) {
    fs::remove(place.file);
    return;
  }
  std::string kept;
  std::string text = read_file(place.file);
  if (text.ends_with('\n')) text.pop_back();
  for (const auto& line : split(text, '\n')) {
    if (line != place.lines.back()) kept += line + "\n";
  }
  rewrite(place.file, kept);
}

/// Does it everywhere; what went wrong somewhere is told at the end, as go-multierror tells it.
void at_every_shell(const std::vector<ShellPlace>& places, const char* verb,
                    const std::function<void(const ShellPlace&)>& action) {
  if (places.empty()) throw Error(ErrorKind::user, fmt::format("Did not find any shells to {}", verb));
  std::vector<std::string> wrong;
  for (const auto& place : places) {
    try {
      action(place);
    } catch (const Error& error) {
      wrong.push_back(error.message());
    } catch (const fs::filesystem_error& error) {
      wrong.push_back(error.what());
    }
  }
  if (wrong.empty()) return;
  throw Error(ErrorKind::user, multierror_text(wrong));
}

}  // namespace

void install_completion(const std::string& name, const std::string& binary) {
  at_every_shell(shell_places(name, binary), "install", install_at);
}

void uninstall_completion(const std::string& name, const std::string& binary) {
  at_every_shell(shell_places(name, binary), "uninstall", uninstall_at);
}

}  // namespace kiln
