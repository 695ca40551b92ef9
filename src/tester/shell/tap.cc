#include "tester/shell/tap.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/text.h"
#include "lang/yaml.h"

namespace kiln {

namespace {

const RE2& plan_expression() {
  static const RE2 expression(R"(1\.\.(\d+)\s*(?:#\s*(.*))?)");
  return expression;
}

std::string yaml_text(const Value& yaml, std::initializer_list<const char*> keys) {
  for (auto key : keys) {
    const Value* found = yaml.find(key);
    if (found == nullptr || found->is_null()) continue;
    if (found->is_string()) return found->as_string();
    return to_json(*found);
  }
  return "";
}

std::string yaml_place(const Value& yaml) {
  const Value* at = yaml.find("at");
  const Value& holder = at != nullptr && at->is_object() ? *at : yaml;
  std::string file = yaml_text(holder, {"file", "filename"}), line = yaml_text(holder, {"line"});
  if (file.empty()) return at != nullptr && at->is_string() ? at->as_string() : "";
  return line.empty() ? file : file + ":" + line;
}

}  // namespace

bool begins_tap(std::string_view line) {
  std::string text(trim(line));
  return RE2::FullMatch(text, plan_expression()) || RE2::FullMatch(text, R"(TAP version \d+)");
}

void TapReader::line(std::string_view raw) {
  std::string text(trim_right(raw)), reason;
  int planned = 0;
  if (in_yaml_) {
    if (trim(text) == "...") return end_yaml();
    yaml_ += text + "\n";
    return;
  }
  if (trim(text) == "---" && text.starts_with(' ') && pending_) {
    in_yaml_ = true;
    return;
  }
  if (text.starts_with("    ")) {  // a subtest
    std::string inner(trim(text));
    if (inner.starts_with("not ok") && !contains(upper(inner), "# TODO")) nested_ += inner + "\n";
    return;
  }
  if (text.starts_with("not ok")) return test_line(std::string_view(text).substr(6), false);
  if (text.starts_with("ok")) return test_line(std::string_view(text).substr(2), true);
  if (RE2::FullMatch(text, plan_expression(), &planned, &reason)) {
    plan_ = static_cast<size_t>(planned);
    if (planned == 0) skip_all_ = reason.empty() ? "nothing is planned" : reason;
  } else if (text.starts_with("Bail out!")) {
    flush();
    bailed_ = true;
    add_failure("Bail out!", std::string(trim(std::string_view(text).substr(9))));
  } else if (text.starts_with("# Subtest")) {
    flush();
  } else if (text.starts_with('#') && pending_) {
    pending_->message += (pending_->message.empty() ? "" : "\n") + std::string(trim(std::string_view(text).substr(1)));
  }
}

void TapReader::test_line(std::string_view rest, bool good) {
  static const RE2 shape(R"(\s*(\d+)?\s*(?:-\s+)?(.*?)\s*(?:#\s*((?i:skip|todo))\S*\s*(.*))?)");
  if (!rest.empty() && rest.front() != ' ' && rest.front() != '\t') return;  // "okay" is no result
  flush();
  ++count_;
  std::string number, name, directive, reason;
  RE2::FullMatch(re2::StringPiece(rest.data(), rest.size()), shape, &number, &name, &directive, &reason);
  CheckResult result;
  result.group = group_;
  result.name = name.empty() ? fmt::format("test {}", number.empty() ? std::to_string(count_) : number)
                             : replace_all(name, "\\#", "#");
  bool todo = lower(directive) == "todo", skip = lower(directive) == "skip";
  if (skip || (todo && !good)) {
    result.status = CheckStatus::skipped;
    result.message = todo ? "TODO " + reason : reason;
  } else if (!good) {
    result.status = CheckStatus::failed;
    result.message = std::string(trim_right(nested_));
  }
  nested_.clear();
  pending_ = std::move(result);
}

void TapReader::end_yaml() {
  in_yaml_ = false;
  Diagnostics diagnostics;
  // The block is indented as a whole; YAML does not mind.
  Value yaml = parse_yaml(std::make_shared<SourceFile>(SourceFile{"TAP", yaml_}), diagnostics);
  std::string message = yaml.is_object() ? yaml_text(yaml, {"message"}) : std::string(trim(yaml_));
  pending_->expected = yaml_text(yaml, {"expected", "wanted", "expect"});
  pending_->found = yaml_text(yaml, {"found", "got", "actual"});
  pending_->place = yaml_place(yaml);
  if (message.empty() && pending_->expected.empty()) message = std::string(trim(yaml_));
  if (!message.empty()) pending_->message += (pending_->message.empty() ? "" : "\n") + message;
  yaml_.clear();
}

void TapReader::flush() {
  if (!pending_) return;
  if (in_yaml_) end_yaml();
  failed_ = failed_ || pending_->status == CheckStatus::failed;
  tell_(std::move(*pending_));
  pending_.reset();
}

void TapReader::add_failure(std::string name, std::string message) {
  failed_ = true;
  CheckResult result;
  result.group = group_;
  result.name = std::move(name);
  result.status = CheckStatus::failed;
  result.message = std::move(message);
  tell_(std::move(result));
}

void TapReader::finish(int exit_status) {
  flush();
  if (!skip_all_.empty() && count_ == 0) {
    CheckResult result;
    result.group = group_;
    result.name = "all tests";
    result.status = CheckStatus::skipped;
    result.message = skip_all_;
    tell_(std::move(result));
  } else if (!bailed_ && plan_ != count_) {
    add_failure("plan", plan_ ? fmt::format("{} tests were planned, {} ran", *plan_, count_) : "there is no plan");
  }
  if (exit_status != 0 && !failed_) add_failure("exit status", fmt::format("the script exited with {}", exit_status));
}

}  // namespace kiln
