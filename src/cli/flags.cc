#include "cli/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace kiln {

std::optional<bool> parse_flag_bool(const std::string& text) {
  for (auto word : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == word) return true;
  }
  for (auto word : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

void FlagSet::add(std::string name, bool is_bool, std::string help, std::string shown,
                  std::function<std::optional<std::string>(const std::string&)> set) {
  if (shown.empty()) shown = "-" + name;
  flags_.push_back({std::move(name), is_bool, std::move(shown), std::move(help), std::move(set)});
}

void FlagSet::add_bool(const std::string& name, bool* target, std::string help, std::string shown) {
  add(name, true, std::move(help), std::move(shown),
      [target](const std::string& value) -> std::optional<std::string> {
        auto parsed = parse_flag_bool(value);
        if (!parsed) return "parse error";
        *target = *parsed;
        return std::nullopt;
      });
}

void FlagSet::add_int(const std::string& name, int* target, std::string help, std::string shown) {
  add(name, false, std::move(help), std::move(shown),
      [target](const std::string& value) -> std::optional<std::string> {
        const char* begin = value.data() + (value.starts_with('+') ? 1 : 0);
        const char* end = value.data() + value.size();
        int64_t number = 0;
        auto [stop, error] = std::from_chars(begin, end, number);
        if (error == std::errc::result_out_of_range) return "value out of range";
        if (error != std::errc() || stop != end || begin == end) return "parse error";
        *target = static_cast<int>(std::clamp<int64_t>(number, INT32_MIN, INT32_MAX));
        return std::nullopt;
      });
}

void FlagSet::add_string(const std::string& name, std::string* target, std::string help, std::string shown) {
  add(name, false, std::move(help), std::move(shown),
      [target](const std::string& value) -> std::optional<std::string> {
        *target = value;
        return std::nullopt;
      });
}

void FlagSet::add_list(const std::string& name, std::vector<std::string>* target, std::string help,
                       std::string shown) {
  add(name, false, std::move(help), std::move(shown),
      [target](const std::string& value) -> std::optional<std::string> {
        for (auto& part : split(value, ',')) target->push_back(part);
        return std::nullopt;
      });
}

void FlagSet::add_repeated(const std::string& name, std::vector<std::string>* target, std::string help,
                           std::string shown) {
  add(name, false, std::move(help), std::move(shown),
      [target](const std::string& value) -> std::optional<std::string> {
        target->push_back(value);
        return std::nullopt;
      });
}

void FlagSet::add_pairs(const std::string& name, std::vector<std::pair<std::string, std::string>>* target,
                        std::string help, std::string shown) {
  add(name, false, std::move(help), std::move(shown),
      [target](const std::string& value) -> std::optional<std::string> {
        size_t at = value.find('=');
        if (at == std::string::npos) return "No '=' value in arg: " + value;
        target->emplace_back(value.substr(0, at), value.substr(at + 1));
        return std::nullopt;
      });
}

void FlagSet::add_choice(const std::string& name, std::string* target, std::vector<std::string> choices,
                         std::string help, std::string shown) {
  add(name, false, std::move(help), std::move(shown),
      [target, choices](const std::string& value) -> std::optional<std::string> {
        if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
          std::vector<std::string> quoted;
          quoted.reserve(choices.size());
          for (const auto& choice : choices) quoted.push_back(go_quote(choice));
          return fmt::format("expected one of [{}]", join(quoted, " "));
        }
        *target = value;
        return std::nullopt;
      });
  flags_.back().choices = std::move(choices);
}

std::optional<std::string> FlagSet::parse_one(const std::vector<std::string>& words, size_t& index) const {
  const std::string& word = words[index++];
  std::string name = word.substr(word.starts_with("--") ? 2 : 1);
  if (name.empty() || name[0] == '-' || name[0] == '=') return "bad flag syntax: " + word;
  std::optional<std::string> value;
  if (size_t at = name.find('='); at != std::string::npos) {
    value = name.substr(at + 1);
    name.resize(at);
  }
  auto flag = std::find_if(flags_.begin(), flags_.end(), [&](auto& f) { return f.name == name; });
  if (flag == flags_.end()) return "flag provided but not defined: -" + name;
  if (!value && flag->is_bool) value = "true";
  if (!value) {
    if (index == words.size()) return "flag needs an argument: -" + name;
    value = words[index++];
  }
  auto wrong = flag->set(*value);
  if (!wrong) return std::nullopt;
  if (flag->is_bool)
    return fmt::format("invalid boolean value {} for -{}: {}", go_quote(*value), name, *wrong);
  return fmt::format("invalid value {} for flag -{}: {}", go_quote(*value), name, *wrong);
}

FlagSet::Parsed FlagSet::parse(const std::vector<std::string>& words) const {
  Parsed parsed;
  size_t index = 0;
  while (index < words.size()) {
    const std::string& word = words[index];
    if (word.size() < 2 || word[0] != '-') break;
    if (word == "--") {
      ++index;
      break;
    }
    if (auto error = parse_one(words, index)) {
      parsed.error = *error;
      return parsed;
    }
  }
  parsed.arguments.assign(words.begin() + static_cast<std::ptrdiff_t>(index), words.end());
  return parsed;
}

std::string FlagSet::help() const {
  constexpr size_t column = 30;
  std::string out;
  for (const auto& flag : flags_) {
    if (flag.help.empty()) continue;
    std::string left = "  " + flag.shown;
    if (left.size() + 1 < column + 2)
      left.resize(column + 2, ' ');
    else
      left += "\n" + std::string(column + 2, ' ');
    out += left + replace_all(flag.help, "\n", "\n" + std::string(column + 2, ' ')) + "\n";
  }
  return out;
}

}  // namespace kiln
