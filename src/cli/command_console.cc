// console: template expressions, tried out (packer-surface 1.4).
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "base/fd.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/diagnostic_text.h"
#include "cli/template_input.h"
#include "lang/packer_json.h"

namespace kiln {

namespace {

constexpr const char* console_help =
    "\nThis console evaluates template expressions with the variables of the template\n"
    "it was called with.\n\n"
    "  {{timestamp}}        an expression: its value is shown\n"
    "  variables            all variables and their values\n"
    "  help                 this text\n"
    "  exit, or Control-D   leaves\n";

/// Reads lines from standard input, which may be a terminal, a pipe or a file.
class InputLines {
 public:
  std::optional<std::string> next() {
    while (true) {
      if (size_t end = pending_.find('\n'); end != std::string::npos) {
        std::string line = pending_.substr(0, end);
        pending_.erase(0, end + 1);
        return line;
      }
      std::string part = read_some(STDIN_FILENO);
      if (part.empty()) break;
      pending_ += part;
    }
    if (pending_.empty()) return std::nullopt;
    return std::exchange(pending_, {});
  }

 private:
  std::string pending_;
};

class ConsoleEvaluator {
 public:
  ConsoleEvaluator(Invocation& invocation, TemplateScope scope)
      : ui_(invocation.ui()), scope_(std::move(scope)) {}

  /// The text to show; nullopt when it was a mistake, which has been shown, or there is nothing to show.
  std::optional<std::string> evaluate(std::string_view raw) {
    std::string line(trim(raw));
    if (line.empty()) return "";
    if (line == "help") return console_help;
    if (line == "variables") {
      std::string out = "\n";
      for (const auto& [name, value] : scope_.user_variables) out += fmt::format("{}: {},\n", name, value);
      return out;
    }
    Rendered rendered = render_template(line, scope_);
    if (rendered.ok()) return rendered.text;
    ui_.say("???????: Interpolation error\n\n" + wrap_text(*rendered.error) + "\n\n");
    return std::nullopt;
  }

 private:
  Ui ui_;
  TemplateScope scope_;
};

bool is_pipe(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

}  // namespace

int run_console(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (arguments.size() == 1 && arguments[0] == "-") {
    invocation.ui().error("Error: The template and the expressions cannot both come from standard input.");
    return 1;
  }
  auto parsed = load_template(invocation, options, arguments.size() == 1 ? arguments[0] : "");
  if (!parsed) return 1;
  TemplateScope scope = make_scope(*parsed);
  Diagnostics ignored;  // as Packer: a console with unset variables is still a console
  scope.user_variables = resolve_variables(*parsed, given_variables(options), scope, ignored);
  scope.env = nullptr;
  mask_sensitive(invocation, *parsed, scope.user_variables);
  ConsoleEvaluator console(invocation, std::move(scope));
  InputLines lines;
  Ui ui = invocation.ui();
  if (is_pipe(STDIN_FILENO)) {
    std::string last;
    while (auto line = lines.next()) {
      if (trim(*line) != "exit") last = console.evaluate(*line).value_or("");
    }
    ui.message(last);
    return 0;
  }
  bool prompting = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  while (true) {
    if (prompting) write_all(STDOUT_FILENO, "> ");
    auto line = lines.next();
    if (!line || trim(*line) == "exit") break;
    auto result = console.evaluate(*line);
    if (result && !trim(*line).empty()) ui.message(*result);
  }
  return 0;
}

}  // namespace kiln
