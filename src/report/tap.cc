#include "report/tap.h"

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace kiln {

namespace {

/// A description in one line; what TAP reads as something else is escaped.
std::string tap_description(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '#') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out;
}

/// JSON's strings are YAML's.
std::string yaml_line(const char* key, const std::string& text) {
  if (text.empty()) return "";
  using Json = nlohmann::json;
  return fmt::format("  {}: {}\n", key, Json(text).dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string diagnostics_of(const CheckResult& check, const std::function<std::string(const std::string&)>& masked) {
  std::string lines = yaml_line("message", masked(check.message)) + yaml_line("expected", masked(check.expected)) +
                      yaml_line("found", masked(check.found));
  if (auto colon = check.place.rfind(':'); colon != std::string::npos) {
    lines += "  at:\n  " + yaml_line("file", masked(check.place.substr(0, colon))) + "    line: " +
             check.place.substr(colon + 1) + "\n";
  }
  return lines.empty() ? "" : "  ---\n" + lines + "  ...\n";
}

}  // namespace

std::string tap_text(const std::vector<TestSuite>& suites, const Redactor* redactor) {
  auto masked = [redactor](const std::string& text) { return redactor == nullptr ? text : redactor->redact(text); };
  std::string body;
  size_t count = 0;
  for (const auto& suite : suites) {
    for (const auto& check : suite.report.checks) {
      std::string name = suite.name + ": " + (check.group.empty() ? "" : check.group + " ") + check.name;
      body += fmt::format("{}ok {} - {}", check.status == CheckStatus::failed ? "not " : "", ++count,
                          tap_description(masked(name)));
      if (check.status == CheckStatus::skipped) body += " # SKIP " + tap_description(masked(check.message));
      body += "\n";
      if (check.status == CheckStatus::failed) body += diagnostics_of(check, masked);
    }
  }
  return fmt::format("TAP version 14\n1..{}\n{}", count, body);
}

}  // namespace kiln
