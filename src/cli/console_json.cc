#include <fmt/format.h>

#include <cctype>

#include "base/text.h"
#include "cli/console_language.h"
#include "cli/diagnostic_text.h"
#include "lang/go_template.h"
#include "lang/packer_json.h"

namespace kiln {

namespace {

/// Packer's words: scripts look for them. Ours would be no clearer.
constexpr const char* json_console_help =
    "Packer console JSON Mode.\n"
    "The Packer console allows you to experiment with Packer interpolations.\n"
    "You may access variables in the Packer config you called the console with.\n\n"
    "Type in the interpolation to test and hit <enter> to see the result.\n\n"
    "\"variables\" will dump all available variables and their values.\n\n"
    "\"{{timestamp}}\" will output the timestamp, for example \"1559855090\".\n\n"
    "To exit the console, type \"exit\" and hit <enter>, or use Control-C.\n\n"
    "/!\\ If you would like to start console in hcl2 mode without a config you can\n"
    "use the --config-type=hcl2 option.";

class JsonConsole : public ConsoleLanguage {
 public:
  JsonConsole(Invocation& invocation, TemplateScope scope)
      : ui_(invocation.ui()), scope_(std::move(scope)) {}

  /// The text to show; nullopt when it was a mistake, which has been shown, or there is nothing to show.
  std::optional<std::string> evaluate(std::string_view raw) override {
    std::string line(trim(raw));
    if (line.empty()) return "";
    if (line == "help") return json_console_help;
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
  LineCompletions complete(std::string_view before) const override {
    size_t begin = before.size();
    while (begin > 0 && is_word_character(before[begin - 1])) --begin;
    std::string_view head = before.substr(0, begin);
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
    return completions(before, begin, candidates);
  }

  int mistake_code() const override { return 0; }

 private:
  static bool is_word_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  }

  Ui ui_;
  TemplateScope scope_;
};

}  // namespace

LineCompletions ConsoleLanguage::completions(std::string_view before, size_t begin,
                                             const std::vector<std::string>& candidates) {
  std::string_view word = before.substr(begin);
  LineCompletions found{begin, {}};
  for (const auto& candidate : candidates) {
    if (candidate.starts_with(word)) found.words.push_back(candidate);
  }
  return found;
}

std::unique_ptr<ConsoleLanguage> make_json_console(Invocation& invocation, const CommandOptions& options,
                                                   const Template& parsed) {
  TemplateScope scope = make_scope(parsed);
  Diagnostics ignored;  // as Packer: a console with unset variables is still a console
  scope.user_variables = resolve_variables(parsed, given_variables(options), scope, ignored);
  scope.env = nullptr;
  mask_sensitive(invocation, parsed, scope.user_variables);
  return std::make_unique<JsonConsole>(invocation, std::move(scope));
}

}  // namespace kiln
