#include "report/junit.h"

#include <fmt/format.h>

#include "base/text.h"

namespace kiln {

namespace {

/// How many bytes the character at `i` takes that XML may hold; 0 if it may not.
size_t xml_character(std::string_view text, size_t i) {
  auto c = static_cast<unsigned char>(text[i]);
  if (c < 0x80) return c >= 0x20 || c == '\t' || c == '\n' || c == '\r' ? 1 : 0;
  size_t size = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
  std::string_view one = text.substr(i, size);
  if (one.size() != size || !is_valid_utf8(one)) return 0;
  bool never = one == "\xEF\xBF\xBE" || one == "\xEF\xBF\xBF";  // U+FFFE, U+FFFF
  return never ? 0 : size;
}

/// The length of a terminal's escape sequence (CSI) that begins at `i`, or 0.
size_t escape_sequence(std::string_view text, size_t i) {
  if (text.substr(i, 2) != "\033[") return 0;
  size_t end = text.find_first_not_of("0123456789;?", i + 2);
  return end == std::string_view::npos ? 0 : end + 1 - i;
}

std::string xml_escaped(std::string_view text, bool attribute) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (size_t skipped = escape_sequence(text, i)) {
      i += skipped;
      continue;
    }
    size_t size = xml_character(text, i);
    char c = text[i];
    if (size == 0) {
      out += "\xEF\xBF\xBD";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '\r' || (attribute && (c == '"' || c == '\n' || c == '\t'))) {
      out += fmt::format("&#{};", static_cast<int>(c));
    } else {
      out += text.substr(i, size);
    }
    i += std::max<size_t>(size, 1);
  }
  return out;
}

std::string seconds_text(std::chrono::nanoseconds duration) {
  return fmt::format("{:.3f}", std::chrono::duration<double>(duration).count());
}

struct Totals {
  size_t tests = 0, failures = 0, skipped = 0;
  std::chrono::nanoseconds duration{0};
};

std::string counts(const Totals& totals) {
  return fmt::format(R"(tests="{}" failures="{}" errors="0" skipped="{}" time="{}")", totals.tests, totals.failures,
                     totals.skipped, seconds_text(totals.duration));
}

class JunitWriter {
 public:
  explicit JunitWriter(const Redactor* redactor) : redactor_(redactor) {}

  std::string document(const std::vector<TestSuite>& suites) {
    Totals all;
    std::string body;
    for (const auto& suite : suites) {
      Totals totals{suite.report.checks.size(), suite.report.count(CheckStatus::failed),
                    suite.report.count(CheckStatus::skipped), suite.duration};
      all.tests += totals.tests;
      all.failures += totals.failures;
      all.skipped += totals.skipped;
      all.duration += totals.duration;
      body += one_suite(suite, totals);
    }
    return fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {}>\n{}</testsuites>\n", counts(all), body);
  }

 private:
  std::string masked(std::string text) const { return redactor_ == nullptr ? text : redactor_->redact(std::move(text)); }
  std::string attribute(const char* name, const std::string& value) const {
    return fmt::format(" {}=\"{}\"", name, xml_escaped(masked(value), true));
  }
  std::string content(const std::string& value) const { return xml_escaped(masked(value), false); }

  std::string one_suite(const TestSuite& suite, const Totals& totals) {
    std::string time = format_rfc3339_utc(suite.time);
    if (time.ends_with('Z')) time.pop_back();  // JUnit's schema has no zone
    std::string out = fmt::format("  <testsuite{} {}{}{}>\n", attribute("name", suite.name), counts(totals),
                                  attribute("timestamp", time), attribute("hostname", suite.hostname));
    for (const auto& check : suite.report.checks) out += test_case(suite, check);
    return out + "  </testsuite>\n";
  }

  std::string test_case(const TestSuite& suite, const CheckResult& check) {
    std::string out = "    <testcase" + attribute("classname", check.group.empty() ? suite.name : check.group) +
                      attribute("name", check.name) + attribute("time", seconds_text(check.duration));
    if (auto colon = check.place.rfind(':'); colon != std::string::npos) {
      out += attribute("file", check.place.substr(0, colon)) + attribute("line", check.place.substr(colon + 1));
    }
    if (check.status == CheckStatus::passed) return out + "/>\n";
    out += ">\n";
    if (check.status == CheckStatus::skipped) {
      out += "      <skipped" + attribute("message", check.message) + "/>\n";
    } else {
      out += fmt::format("      <failure{} type=\"failed\">{}</failure>\n", attribute("message", summary(check)),
                         content(details(check)));
    }
    return out + "    </testcase>\n";
  }

  /// One line: what a CI system shows in its list.
  static std::string summary(const CheckResult& check) {
    std::string first = check.message.substr(0, check.message.find('\n'));
    if (check.expected.empty() || (check.found.empty() && !first.empty())) return first;
    return fmt::format("expected {}, found {}", check.expected, check.found.empty() ? "nothing" : check.found);
  }
  static std::string details(const CheckResult& check) {
    std::string out;
    auto add = [&](const char* what, const std::string& text) {
      if (!text.empty()) out += (out.empty() ? "" : "\n") + std::string(what) + text;
    };
    add("expected: ", check.expected);
    add("found: ", check.found);
    add("", check.message);
    add("at ", check.place);
    return out;
  }

  const Redactor* redactor_;
};

}  // namespace

std::string junit_xml(const std::vector<TestSuite>& suites, const Redactor* redactor) {
  return JunitWriter(redactor).document(suites);
}

}  // namespace kiln
