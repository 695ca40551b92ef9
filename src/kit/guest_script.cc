#include "kit/guest_script.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace kiln {

std::string normalize_script(std::string_view text) {
  std::string out = replace_all(std::string(text), "\r\n", "\n");
  if (!out.empty() && out.back() != '\n') out += '\n';
  return out;
}

std::string inline_script_text(const std::vector<std::string>& lines, const std::string& shebang, bool chosen) {
  std::string out;
  bool has_own = !lines.empty() && lines[0].starts_with("#!");
  if (chosen || !has_own) out = "#!" + shebang + "\n";
  for (const auto& line : lines) out += line + "\n";
  return out;
}

std::string format_variable(const std::string& format, const std::string& key, const std::string& value) {
  std::string out;
  int next = 0;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    std::string_view rest = std::string_view(format).substr(i + 1);
    if (rest.starts_with('%')) {
      out += '%';
      i += 1;
    } else if (rest.starts_with("s") || rest.starts_with("v")) {
      out += next++ == 0 ? key : value;
      i += 1;
    } else if (rest.starts_with("[1]s") || rest.starts_with("[2]s")) {
      out += rest[1] == '1' ? key : value;
      next = rest[1] == '1' ? 1 : 2;
      i += 4;
    } else {
      out += '%';
    }
  }
  return out;
}

std::string escape_single_quotes(const std::string& value) { return replace_all(value, "'", R"('"'"')"); }

void check_environment_vars(const std::vector<std::string>& entries, const SourceRange& range,
                            Diagnostics& diagnostics) {
  for (const auto& entry : entries) {
    auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      diagnostics.error("Environment variable not in format 'key=value': " + entry, "", range);
    }
  }
}

void add_environment_vars(const std::vector<std::string>& entries,
                          std::map<std::string, std::string>& variables) {
  for (const auto& entry : entries) {
    auto equals = entry.find('=');
    if (equals != std::string::npos) variables[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
}

bool is_known_build_value(const std::string& value) {
  return !value.empty() && value != "<no value>" && !value.starts_with("ERR_") &&
         !value.ends_with("_NOT_IMPLEMENTED_BY_BUILDER");
}

std::map<std::string, std::string> http_variables(const Value& build_data) {
  static constexpr std::pair<const char*, const char*> names[] = {{"PackerHTTPAddr", "PACKER_HTTP_ADDR"},
                                                                  {"PackerHTTPIP", "PACKER_HTTP_IP"},
                                                                  {"PackerHTTPPort", "PACKER_HTTP_PORT"}};
  std::map<std::string, std::string> out;
  for (auto [key, variable] : names) {
    const Value* value = build_data.find(key);
    if (value == nullptr) continue;
    std::string text = value->is_string()                     ? value->as_string()
                       : value->kind() == Value::Kind::number ? value->as_number().text
                                                              : "";
    if (is_known_build_value(text)) out[variable] = text;
  }
  return out;
}

void upload_text(Communicator& communicator, const std::string& path, const std::string& text, int mode,
                 const Deadline& deadline, const Stop& stop) {
  size_t sent = 0;
  auto source = [&](char* buffer, size_t size) {
    size_t count = std::min(size, text.size() - sent);
    std::copy_n(text.data() + sent, count, buffer);
    sent += count;
    return count;
  };
  communicator.upload({path, text.size(), mode}, source, deadline, stop);
}

namespace {

std::string clean_output_line(std::string_view line) {
  line = trim_right(line);
  auto drawn_over = line.rfind('\r');
  return std::string(drawn_over == std::string_view::npos ? line : line.substr(drawn_over + 1));
}

}  // namespace

OutputLines::OutputLines(const Ui& ui)
    : out_([ui](std::string_view line) { ui.say(clean_output_line(line)); }),
      err_([ui](std::string_view line) { ui.error(clean_output_line(line)); }) {}

Sink OutputLines::out() {
  return [this](std::string_view bytes) { out_.feed(bytes); };
}
Sink OutputLines::err() {
  return [this](std::string_view bytes) { err_.feed(bytes); };
}
void OutputLines::finish() {
  out_.finish();
  err_.finish();
}

}  // namespace kiln
