#include "cli/program.h"

#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/completion.h"
#include "cli/environment.h"

namespace kiln {

namespace {

void print_out(const std::string& text) {
  try {
    write_all(1, text);
  } catch (const Error&) {
    // nobody reads
  }
}

std::string list_of_commands(const Invocation& invocation) {
  std::string out = fmt::format(
      "Usage: {} [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n", invocation.program);
  auto sorted = command_table();
  std::stable_sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.name < b.name; });
  for (const auto& command : sorted) {
    bool shown = command.shown == Subcommand::Shown::always ||
                 (command.shown == Subcommand::Shown::as_kiln && !invocation.as_packer());
    if (shown) out += fmt::format("    {:<18} {}\n", command.name, command.synopsis);
  }
  return out;
}

/// argv, taken apart as Packer's dispatcher does it (packer-surface 1.1).
struct Dispatch {
  bool help = false;
  bool version = false;
  bool install_completion = false;
  bool uninstall_completion = false;
  bool flags_before = false;  ///< some other flag stood before the subcommand
  std::string command;
  std::vector<std::string> words;  ///< what follows it
};

Dispatch take_apart(const std::vector<std::string>& words) {
  Dispatch d;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") break;
    if (word == "-h" || word == "-help" || word == "--help") {
      d.help = true;
    } else if (word == "-autocomplete-install" || word == "--autocomplete-install") {
      d.install_completion = true;
    } else if (word == "-autocomplete-uninstall" || word == "--autocomplete-uninstall") {
      d.uninstall_completion = true;
    } else if (d.command.empty() && (word == "-v" || word == "-version" || word == "--version")) {
      d.version = true;
    } else if (d.command.empty() && word.starts_with('-')) {
      d.flags_before = true;
    } else if (d.command.empty()) {
      d.command = word;
      d.words.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
    }
  }
  return d;
}

const Subcommand* find_command(Dispatch& d) {
  if (d.command == "plugin") d.command = "plugins";
  const Subcommand* found = nullptr;
  for (const auto& command : command_table()) {
    if (command.name == d.command) found = &command;
  }
  if (!found || d.words.empty()) return found;
  for (const auto& command : command_table()) {
    if (command.name == d.command + " " + d.words[0]) {
      d.words.erase(d.words.begin());
      return &command;
    }
  }
  return found;
}

void make_renderer(Invocation& invocation, const CommandOptions& options) {
  RenderOptions render;
  render.redactor = invocation.redactor.get();
  render.run_id = invocation.run_id;
  render.color = options.color;
  render.ansi = get_env("PACKER_NO_COLOR").value_or("").empty();
  render.timestamps = options.timestamp_ui;
  if (invocation.machine_readable) {
    invocation.renderer = make_machine_renderer(render);
  } else if (options.log_format == "json") {
    invocation.renderer = make_ndjson_renderer(render);
  } else {
    std::string term = get_env("TERM").value_or("");
    render.live = render.ansi && options.color && ::isatty(1) == 1 && !term.empty() && term != "dumb";
    invocation.renderer = make_terminal_renderer(render);
  }
}

FlagSet::Parsed parse_words(const FlagSet& flags, const Subcommand& command, const std::vector<std::string>& words) {
  auto parsed = flags.parse(words);
  std::vector<std::string> arguments;
  while (command.flags_anywhere && parsed.error.empty() && !parsed.arguments.empty()) {
    arguments.push_back(parsed.arguments.front());
    parsed = flags.parse({parsed.arguments.begin() + 1, parsed.arguments.end()});
  }
  if (command.flags_anywhere) parsed.arguments = std::move(arguments);
  return parsed;
}

int run_command(Invocation& invocation, const Subcommand& command, const std::vector<std::string>& words) {
  CommandOptions options;
  FlagSet flags;
  command.declare(flags, options);
  make_renderer(invocation, options);
  auto parsed = parse_words(flags, command, words);
  if (!parsed.error.empty()) {
    invocation.ui().say(std::string(trim_right(command_help(invocation, command))));
    invocation.ui().error(parsed.error);
    return 1;
  }
  make_renderer(invocation, options);
  int code = command.run(invocation, options, parsed.arguments);
  if (code == show_help) {
    print_out(command_help(invocation, command));
    return 1;
  }
  return code;
}

/// The program as it was called: a link named packer stays that, so that it answers as packer.
std::string own_path(const std::string& called) {
  fs::path path = contains(called, "/") ? fs::path(called) : find_program(called).value_or("/proc/self/exe");
  if (path == "/proc/self/exe") return fs::read_symlink(path).string();
  return fs::absolute(path).lexically_normal().string();
}

int change_completion(const Invocation& invocation, const Dispatch& d) {
  try {
    if (d.install_completion && d.uninstall_completion)
      throw Error(ErrorKind::user,
                  "Either the autocomplete install or uninstall flag may be specified, but not both.");
    auto change = d.install_completion ? install_completion : uninstall_completion;
    change(invocation.program, own_path(invocation.called));
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, " Error executing CLI: %s\n", error.message().c_str());
    return 1;
  }
}

int dispatch(Invocation& invocation, const std::vector<std::string>& words) {
  Dispatch d = take_apart(words);
  if (d.install_completion || d.uninstall_completion) return change_completion(invocation, d);
  if (d.version && d.command.empty()) d.command = "version";
  const Subcommand* command = find_command(d);
  if (!command) {
    print_out(list_of_commands(invocation));
    return d.help && d.command.empty() ? 0 : 127;
  }
  if (d.help) {
    print_out(command_help(invocation, *command));
    return 0;
  }
  if (d.flags_before && !d.version) {
    print_out(
        "Invalid flags before the subcommand. If these flags are for\nthe subcommand, please put them after "
        "the "
        "subcommand.\n\n" +
        command_help(invocation, *command));
    return 1;
  }
  return run_command(invocation, *command, d.words);
}

void raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int run_program(std::vector<std::string> words) {
  ::signal(SIGPIPE, SIG_IGN);
  raise_open_files();
  Invocation invocation;
  if (!words.empty()) {
    if (fs::path(words[0]).filename() == "packer") invocation.program = "packer";
    invocation.called = words[0];
    words.erase(words.begin());
  }
  if (auto answer = completion_answer(invocation.as_packer())) {
    print_out(*answer);
    return 0;
  }
  auto machine = std::find(words.begin(), words.end(), "-machine-readable");
  if (machine != words.end()) {
    invocation.machine_readable = true;
    words.erase(machine);
    ::setenv("PACKER_NO_COLOR", "1", 1);  // for the programs we start
  }
  invocation.run_id = random_uuid();
  ::setenv("PACKER_RUN_UUID", invocation.run_id.c_str(), 1);
  int code = 1;
  try {
    check_environment();
    invocation.log = Log::from_environment(invocation.redactor.get());
    invocation.log->line(
        fmt::format("[INFO] Kiln version: {} (answers for Packer {})", KILN_VERSION, packer_version));
    code = dispatch(invocation, words);
  } catch (const Error& error) {
    if (invocation.renderer)
      invocation.ui().error(error.message());
    else
      std::fprintf(stderr, "%s\n", error.message().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: internal error: %s\n", invocation.program.c_str(), error.what());
  }
  if (invocation.renderer) invocation.renderer->close();
  return code;
}

}  // namespace kiln
