#include "cli/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/component_table.h"
#include "cli/image_text.h"

namespace kiln {

namespace {

/// The words of a line; the last one is the one being typed, empty after a space. No quoting, as
/// posener/complete.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words{""};
  for (char c : line) {
    bool space = c == ' ' || c == '\t' || c == '\n';
    if (!space)
      words.back() += c;
    else if (!words.back().empty())
      words.emplace_back();
  }
  return words;
}

void add_files(std::vector<Completion>& out, const std::string& typed, bool (*wanted)(std::string_view)) {
  size_t slash = typed.rfind('/');
  std::string prefix = slash == std::string::npos ? "" : typed.substr(0, slash + 1);
  std::string start = typed.substr(prefix.size());
  std::error_code error;
  fs::directory_iterator entries(prefix.empty() ? fs::path(".") : expand_home(prefix), error), end;
  for (; !error && entries != end; entries.increment(error)) {
    std::string name = entries->path().filename().string();
    if (!name.starts_with(start) || (name[0] == '.' && start.empty())) continue;
    std::error_code ignored;
    if (entries->is_directory(ignored))
      out.push_back({prefix + name + "/", ""});
    else if (wanted(name))
      out.push_back({prefix + name, ""});
  }
}

bool any_file(std::string_view) { return true; }
bool template_file(std::string_view name) { return name.ends_with(".json") || name.ends_with(".pkr.hcl"); }
bool hcl_file(std::string_view name) { return name.ends_with(".pkr.hcl") || name.ends_with(".pkrvars.hcl"); }

bool takes_file(std::string_view flag) {
  return flag == "var-file" || flag == "output" || flag == "output-file" || flag == "path";
}

class LineCompleter {
 public:
  LineCompleter(std::vector<std::string> words, bool as_packer)
      : words_(std::move(words)), as_packer_(as_packer) {
    last_ = std::move(words_.back());
    words_.pop_back();
  }

  /// Completes what stands behind the "=" of the last word "-flag=...".
  void split_flag() {
    size_t at = last_.find('=');
    if (!last_.starts_with('-') || at == std::string::npos) return;
    typed_flag_ = last_.substr(0, at);
    words_.push_back(typed_flag_);
    last_.erase(0, at + 1);
  }
  /// "-flag=" when there is one.
  std::string taken_apart() const { return typed_flag_.empty() ? "" : typed_flag_ + "="; }

  std::vector<Completion> complete() {
    const Subcommand* command = nullptr;
    size_t at = 1;
    for (; at < words_.size() && !command; ++at) command = find(words_[at]);
    if (command && at < words_.size()) {
      if (const auto* nested = find(fmt::format("{} {}", command->name, words_[at]))) {
        command = nested;
        ++at;
      }
    }
    if (command)
      of_command(*command, at);
    else
      of_program();
    std::erase_if(out_, [&](const Completion& c) { return !c.word.starts_with(last_); });
    std::sort(out_.begin(), out_.end(), [](auto& a, auto& b) { return a.word < b.word; });
    return std::move(out_);
  }

 private:
  static const Subcommand* find(const std::string& name) {
    for (const auto& command : command_table()) {
      if (command.name == name) return &command;
    }
    return nullptr;
  }

  void of_program() {
    for (const auto& command : command_table()) {
      if (command.shown == Subcommand::Shown::never ||
          (command.shown == Subcommand::Shown::as_kiln && as_packer_))
        continue;
      out_.push_back({std::string(command.name), std::string(command.synopsis)});
    }
    if (!last_.starts_with('-')) return;
    out_.push_back({"-autocomplete-install", "Installs completion in your shells"});
    out_.push_back({"-autocomplete-uninstall", "Takes it away"});
    out_.push_back({"-help", "Lists the commands"});
    out_.push_back({"-machine-readable", "Comma-separated records instead of text"});
    out_.push_back({"-version", "Prints the version"});
  }

  void of_command(const Subcommand& command, size_t first) {
    FlagSet flags;
    CommandOptions options;
    command.declare(flags, options);
    if (words_.size() > first && words_.back().starts_with('-')) {
      std::string name = words_.back().substr(words_.back().starts_with("--") ? 2 : 1);
      for (const auto& flag : flags.flags()) {
        if (flag.name == name && !flag.is_bool) return value_of(flag);
        if (flag.name == name && words_.back() == typed_flag_) return value_of(flag);
      }
    }
    if (last_.starts_with('-')) {
      std::string dashes = last_.starts_with("--") ? "--" : "-";
      for (const auto& flag : flags.flags()) {
        if (!flag.help.empty())
          out_.push_back({dashes + flag.name, flag.help.substr(0, flag.help.find('\n'))});
      }
      out_.push_back({dashes + "help", "Describes the command"});
      return;
    }
    arguments_of(command);
  }

  void value_of(const Flag& flag) {
    for (const auto& choice : flag.choices) out_.push_back({choice, ""});
    if (flag.is_bool) out_.insert(out_.end(), {{"true", ""}, {"false", ""}});
    if (takes_file(flag.name)) add_files(out_, last_, any_file);
  }

  /// The words in capitals of a command's usage say what it takes.
  void arguments_of(const Subcommand& command) {
    for (const auto& nested : command_table()) {
      if (!nested.name.starts_with(fmt::format("{} ", command.name))) continue;
      out_.push_back({std::string(nested.name.substr(command.name.size() + 1)), std::string(nested.description)});
    }
    if (contains(command.usage, "TEMPLATE"))
      add_files(out_, last_, command.name == "fmt" ? hcl_file : template_file);
    if (command.name.starts_with("images ")) of_images(command);
    if (contains(command.usage, "SHELL"))
      for (auto shell : {"bash", "fish", "zsh"}) out_.push_back({shell, ""});
    if (contains(command.usage, "COMPONENT")) {
      const auto& components = component_table();
      for (const auto& entry : components.builders) out_.push_back({entry.type, entry.summary});
      for (const auto& entry : components.provisioners) out_.push_back({entry.type, entry.summary});
      for (const auto& entry : components.post_processors) out_.push_back({entry.type, entry.summary});
    }
  }

  void of_images(const Subcommand& command) {
    bool tags_alone = !contains(command.usage, "IMAGE");
    if (contains(command.usage, "IMAGE") || contains(command.usage, "TAG")) {
      for (auto& [word, meaning] : image_words(tags_alone)) out_.push_back({std::move(word), std::move(meaning)});
    }
    if (contains(command.usage, "FILE") || contains(command.usage, "DIRECTORY")) add_files(out_, last_, any_file);
  }

  std::vector<std::string> words_;  ///< complete ones, the program's name first
  std::string last_;
  std::string typed_flag_;
  bool as_packer_;
  std::vector<Completion> out_;
};

}  // namespace

std::vector<Completion> complete_line(std::string_view line, bool as_packer) {
  LineCompleter completer(words_of(line), as_packer);
  completer.split_flag();
  return completer.complete();
}

std::optional<std::string> completion_answer(bool as_packer) {
  std::string line = get_env("COMP_LINE").value_or("");
  if (line.empty()) return std::nullopt;
  std::string point_text = get_env("COMP_POINT").value_or("");
  size_t point = line.size();
  std::from_chars(point_text.data(), point_text.data() + point_text.size(), point);
  if (point < line.size()) line.resize(point);
  bool whole = get_env("KILN_COMPLETE").has_value();
  LineCompleter completer(words_of(line), as_packer);
  completer.split_flag();
  std::string before = whole ? completer.taken_apart() : "";
  std::string out;
  for (const auto& candidate : completer.complete()) {
    out += before + candidate.word;
    if (whole && !candidate.description.empty()) out += "\t" + replace_all(candidate.description, "\n", " ");
    out += "\n";
  }
  return out;
}

}  // namespace kiln
