#include "tester/serverspec/results.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace kiln {

namespace {

using Json = nlohmann::json;

std::string text_of(const Json& json, const char* key) {
  auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

/// rspec's "expected: 1\n     got: 2", where a matcher says it so.
void find_expected(const std::string& message, CheckResult& result) {
  static const RE2 shape(R"((?s).*?(?:^|\n)\s*expected:? ([^\n]*)\n\s*got:? ([^\n]*).*)");
  RE2::FullMatch(message, shape, &result.expected, &result.found);
}

CheckResult example_result(const Json& json, const std::string& directory) {
  CheckResult result;
  result.group = text_of(json, "group");
  result.name = text_of(json, "name");
  std::string status = text_of(json, "status");
  result.status = status == "passed"    ? CheckStatus::passed
                  : status == "skipped" ? CheckStatus::skipped
                                        : CheckStatus::failed;
  result.message = text_of(json, "message");
  std::string file = text_of(json, "file");
  if (!file.empty() && !file.starts_with('/') && !directory.empty()) {
    file = directory + (directory.ends_with('/') ? "" : "/") + file;
  }
  if (!file.empty()) result.place = fmt::format("{}:{}", file, json.value("line", 0));
  if (auto seconds = json.find("seconds"); seconds != json.end() && seconds->is_number()) {
    result.duration = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(seconds->get<double>()));
  }
  if (result.status != CheckStatus::failed) return result;
  find_expected(result.message, result);
  std::string command = text_of(json, "command");
  if (!command.empty() && !contains(result.message, command)) result.message += "\ncommand: " + command;
  return result;
}

CheckResult load_failure(const std::string& message) {
  CheckResult result;
  result.name = "loading the specs";
  result.status = CheckStatus::failed;
  result.message = message.empty() ? "an error occurred outside of the examples" : message;
  return result;
}

}  // namespace

RspecReader::RspecReader(std::string nonce, std::string directory, std::function<void(CheckResult)> tell,
                         std::function<void(std::string_view)> other)
    : mark_("@" + std::move(nonce) + " "), directory_(std::move(directory)), tell_(std::move(tell)), other_(std::move(other)) {}

void RspecReader::line(std::string_view line) {
  if (!line.starts_with(mark_)) {
    if (!trim(line).empty()) other_(line);
    return;
  }
  Json json = Json::parse(line.substr(mark_.size()), nullptr, false);
  if (!json.is_object()) return other_(line);
  if (json.contains("status")) tell_(example_result(json, directory_));
  if (json.value("outside", 0) > 0) tell_(load_failure(text_of(json, "message")));
  if (json.contains("done")) complete_ = true;
}

}  // namespace kiln
