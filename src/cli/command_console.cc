// console: template expressions, tried out (packer-surface 1.4).
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/console_language.h"
#include "core/journal.h"

namespace kiln {

namespace {

bool is_pipe(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

/// Where the console keeps what was typed; nowhere when there is no home for it.
fs::path console_history() {
  try {
    return state_directory() / "console-history";
  } catch (const Error&) {
    return {};
  }
}

/// All lines, of which the last one's result is shown.
int answer_pipe(ConsoleLanguage& console, LineEditor& lines, const Ui& ui) {
  std::string last;
  int code = 0;
  while (auto line = lines.next()) {
    if (trim(*line) == "exit") continue;
    auto result = console.evaluate(*line);
    if (!result) code = console.mistake_code();
    last = result.value_or("");
  }
  ui.message(last);
  return code;
}

}  // namespace

int run_console(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() == 1 && arguments[0] == "-") {
    invocation.ui().error("Error: The template and the expressions cannot both come from standard input.");
    return 1;
  }
  auto loaded = load_template(invocation, options, arguments.size() == 1 ? arguments[0] : "", DataSources::run);
  if (!loaded) return 1;
  auto console = loaded->hcl ? make_hcl_console(invocation, *loaded->hcl)
                             : make_json_console(invocation, options, loaded->legacy);
  LineEditor lines(
      {"> ", console_history(), [&](std::string_view before) { return console->complete(before); }});
  Ui ui = invocation.ui();
  if (is_pipe(STDIN_FILENO)) return answer_pipe(*console, lines, ui);
  while (true) {
    auto line = lines.next();
    if (!line || trim(*line) == "exit") break;
    auto result = console->evaluate(*line);
    if (result && !trim(*line).empty()) ui.message(*result);
  }
  return 0;
}

}  // namespace kiln
