#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "cli/console_language.h"
#include "cli/diagnostic_text.h"
#include "lang/hcl_eval.h"

namespace kiln {

namespace {

constexpr const char* hcl_console_help =
    "Packer console HCL2 Mode.\n"
    "The Packer console allows you to experiment with Packer interpolations.\n"
    "You may access variables and functions in the Packer config you called the\n"
    "console with.\n\n"
    "Type in the interpolation to test and hit <enter> to see the result.\n\n"
    "\"upper(var.foo.id)\" would evaluate to the ID of \"foo\" and uppercase is, if it\n"
    "exists in your config file.\n\n"
    "\"variables\" will dump all available variables and their values.\n\n"
    "To exit the console, type \"exit\" and hit <enter>, or use Control-C.\n\n"
    "/!\\ It is not possible to use go templating interpolation like \"{{timestamp}}\"\n"
    "with in HCL2 mode.";

class HclConsole : public ConsoleLanguage {
 public:
  HclConsole(Invocation& invocation, std::shared_ptr<HclEvaluation> evaluation)
      : ui_(invocation.ui()), evaluation_(std::move(evaluation)), scope_(evaluation_->scope()) {
    scope_.namespaces.erase("data");  // not for the console, as in Packer
  }

  std::optional<std::string> evaluate(std::string_view raw) override {
    std::string line(trim(raw));
    if (line.empty()) return "";
    if (line == "help") return hcl_console_help;
    if (line == "variables") return hcl_variables_text(*evaluation_);
    auto file = std::make_shared<SourceFile>(SourceFile{"<console-input>", line});
    Diagnostics diagnostics;
    HclExpressionPtr expression = parse_hcl_expression(file, diagnostics);
    HclValue value;
    if (expression && !diagnostics.has_errors()) value = evaluate_hcl(*expression, scope_, diagnostics);
    if (!diagnostics.has_errors()) return hcl_console_text(value);
    ui_.error(hcl_text(diagnostics));
    return std::nullopt;
  }

  /// Functions and roots for a word, members behind "var." and "local.".
  LineCompletions complete(std::string_view before) const override {
    size_t begin = before.size();
    while (begin > 0 && is_part(before[begin - 1])) --begin;
    std::vector<std::string> candidates;
    for (const auto& [name, value] : evaluation_->variables()) candidates.push_back("var." + name);
    for (const auto& [name, value] : evaluation_->locals()) candidates.push_back("local." + name);
    for (auto name : {"path.cwd", "path.root", "packer.version"}) candidates.emplace_back(name);
    for (const auto& [name, function] : hcl_functions()) candidates.push_back(name + "(");
    if (begin == 0) candidates.insert(candidates.end(), {"exit", "help", "variables"});
    return completions(before, begin, candidates);
  }

  int mistake_code() const override { return 1; }

 private:
  static bool is_part(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  }

  Ui ui_;
  std::shared_ptr<HclEvaluation> evaluation_;
  HclScope scope_;
};

}  // namespace

std::unique_ptr<ConsoleLanguage> make_hcl_console(Invocation& invocation, HclInput& input) {
  std::shared_ptr<HclEvaluation> evaluation;
  outline_hcl(invocation, input, evaluation);
  return std::make_unique<HclConsole>(invocation, std::move(evaluation));
}

}  // namespace kiln
