// console: template expressions, tried out (packer-surface 1.4).
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/diagnostic_text.h"
#include "cli/line_editor.h"
#include "cli/template_input.h"
#include "core/journal.h"
#include "lang/go_template.h"
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

  /// Words of the console where a line begins, functions within "{{", variables behind "user `".
  LineCompletions complete(std::string_view before) const {
    size_t begin = before.size();
    while (begin > 0 && is_word_character(before[begin - 1])) --begin;
    std::string_view word = before.substr(begin), head = before.substr(0, begin);
    std::vector<std::string> candidates;
    size_t open = head.rfind("{{");
    bool inside = open != std::string_view::npos && head.find("}}", open) == std::string_view::npos;
    if (inside && (head.ends_with('`') || head.ends_with('"'))) {
      for (const auto& [name, value] : scope_.user_variables) candidates.push_back(name);
    } else if (inside) {
      candidates = template_function_names();
    } else if (head.empty()) {
      candidates = {"exit", "help", "variables"};
    }
    LineCompletions found{begin, {}};
    for (auto& candidate : candidates) {
      if (candidate.starts_with(word)) found.words.push_back(std::move(candidate));
    }
    return found;
  }

 private:
  static bool is_word_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  }

  Ui ui_;
  TemplateScope scope_;
};

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
  LineEditor lines(
      {"> ", console_history(), [&](std::string_view before) { return console.complete(before); }});
  Ui ui = invocation.ui();
  if (is_pipe(STDIN_FILENO)) {
    std::string last;
    while (auto line = lines.next()) {
      if (trim(*line) != "exit") last = console.evaluate(*line).value_or("");
    }
    ui.message(last);
    return 0;
  }
  while (true) {
    auto line = lines.next();
    if (!line || trim(*line) == "exit") break;
    auto result = console.evaluate(*line);
    if (result && !trim(*line).empty()) ui.message(*result);
  }
  return 0;
}

}  // namespace kiln
