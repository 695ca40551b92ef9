#include "cli/line_editor.h"

#include <dlfcn.h>
#include <histedit.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cstring>

#include "base/fd.h"
#include "base/text.h"

namespace kiln {

/// The functions of libedit. Loaded, not linked: only a console at a terminal needs it and what it brings.
struct EditLibrary {
  bool is_complete = false;
  decltype(&::el_init) el_init = nullptr;
  decltype(&::el_end) el_end = nullptr;
  decltype(&::el_set) el_set = nullptr;
  decltype(&::el_get) el_get = nullptr;
  decltype(&::el_gets) el_gets = nullptr;
  decltype(&::el_line) el_line = nullptr;
  decltype(&::el_insertstr) el_insertstr = nullptr;
  decltype(&::el_deletestr) el_deletestr = nullptr;
  decltype(&::history_init) history_init = nullptr;
  decltype(&::history_end) history_end = nullptr;
  decltype(&::history) history = nullptr;

  EditLibrary() {
    void* library = ::dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    auto find = [&](const char* name, auto& function) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
      return function != nullptr;
    };
    is_complete = find("el_init", el_init) && find("el_end", el_end) && find("el_set", el_set) &&
                  find("el_get", el_get) && find("el_gets", el_gets) && find("el_line", el_line) &&
                  find("el_insertstr", el_insertstr) && find("el_deletestr", el_deletestr) &&
                  find("history_init", history_init) && find("history_end", history_end) &&
                  find("history", history);
  }
};

namespace {

constexpr int history_length = 1000;

const EditLibrary& edit_library() {
  static const EditLibrary library;
  return library;
}

/// What all words begin with, cut at a whole UTF-8 character.
std::string common_start(const std::vector<std::string>& words) {
  std::string common = words.front();
  for (const auto& word : words) {
    size_t same = 0;
    while (same < common.size() && same < word.size() && common[same] == word[same]) ++same;
    common.resize(same);
  }
  while (!common.empty() && !is_valid_utf8(common)) common.pop_back();
  return common;
}

/// The words in columns, down and then right, as wide as the terminal.
std::string in_columns(const std::vector<std::string>& words) {
  winsize size{};
  size_t width = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  size_t longest = 0;
  for (const auto& word : words) longest = std::max(longest, word.size());
  size_t columns = std::max<size_t>(1, width / (longest + 2));
  size_t rows = (words.size() + columns - 1) / columns;
  std::string out;
  for (size_t row = 0; row < rows; ++row) {
    std::string line;
    for (size_t at = row; at < words.size(); at += rows) {
      line += words[at];
      if (at + rows < words.size()) line += std::string(longest + 2 - words[at].size(), ' ');
    }
    out += line + "\n";
  }
  return out;
}

}  // namespace

/// libedit at work. It finds this object again through EL_CLIENTDATA.
class LineEditor::Terminal {
 public:
  /// nullptr when there is no libedit, or it cannot work with this terminal.
  static std::unique_ptr<Terminal> open(const LineEditorOptions& options) {
    if (!edit_library().is_complete) return nullptr;
    auto terminal = std::unique_ptr<Terminal>(new Terminal(options));
    if (!terminal->start()) return nullptr;
    return terminal;
  }

  ~Terminal() {
    if (edit_) libedit_.el_end(edit_);
    if (history_) libedit_.history_end(history_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  std::optional<std::string> next() {
    given_up_ = false;
    int count = 0;
    const char* text = libedit_.el_gets(edit_, &count);
    if (given_up_) {
      write_all(STDOUT_FILENO, "^C\n");
      return was_empty_ ? std::nullopt : std::optional<std::string>("");
    }
    if (!text || count <= 0) {
      write_all(STDOUT_FILENO, "\n");
      return std::nullopt;
    }
    std::string line(text, static_cast<size_t>(count));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    remember(line);
    return line;
  }

 private:
  explicit Terminal(const LineEditorOptions& options) : options_(options) {}

  bool start() {
    if (const char* set = std::setlocale(LC_CTYPE, ""); !set || std::strcmp(set, "C") == 0)
      std::setlocale(LC_CTYPE, "C.UTF-8");
    edit_ = libedit_.el_init("kiln", stdin, stdout, stderr);
    history_ = libedit_.history_init();
    if (!edit_ || !history_) return false;
    HistEvent event;
    libedit_.history(history_, &event, H_SETSIZE, history_length);
    libedit_.history(history_, &event, H_SETUNIQUE, 1);
    if (!options_.history_file.empty())
      libedit_.history(history_, &event, H_LOAD, options_.history_file.c_str());
    libedit_.el_set(edit_, EL_CLIENTDATA, this);
    libedit_.el_set(edit_, EL_PROMPT, &Terminal::prompt);
    libedit_.el_set(edit_, EL_EDITOR, "emacs");
    libedit_.el_set(edit_, EL_HIST, libedit_.history, history_);
    libedit_.el_set(edit_, EL_ADDFN, "kiln-complete", "Complete the word", &Terminal::complete);
    libedit_.el_set(edit_, EL_ADDFN, "kiln-give-up", "Give the line up", &Terminal::give_up);
    libedit_.el_set(edit_, EL_BIND, "^I", "kiln-complete", nullptr);
    libedit_.el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    libedit_.el_set(edit_, EL_BIND, "^W", "ed-delete-prev-word", nullptr);
    libedit_.el_set(edit_, EL_BIND, "\\e[1~", "ed-move-to-beg", nullptr);
    libedit_.el_set(edit_, EL_BIND, "\\e[4~", "ed-move-to-end", nullptr);
    libedit_.el_set(edit_, EL_BIND, "\\e[3~", "ed-delete-next-char", nullptr);
    // Control-C is a key while a line is edited, not a signal that would end the program.
    libedit_.el_set(edit_, EL_SETTY, "-d", "-isig", nullptr);
    libedit_.el_set(edit_, EL_BIND, "^C", "kiln-give-up", nullptr);
    return true;
  }

  static Terminal* of(EditLine* edit) {
    void* self = nullptr;
    edit_library().el_get(edit, EL_CLIENTDATA, &self);
    return static_cast<Terminal*>(self);
  }

  static char* prompt(EditLine* edit) { return of(edit)->options_.prompt.data(); }

  static unsigned char give_up(EditLine* edit, int) {
    Terminal& self = *of(edit);
    const LineInfo* line = self.libedit_.el_line(edit);
    self.given_up_ = true;
    self.was_empty_ = line->lastchar == line->buffer;
    return CC_NEWLINE;
  }

  static unsigned char complete(EditLine* edit, int) {
    try {
      return of(edit)->complete_here();
    } catch (const std::exception&) {
      return CC_ERROR;  // nothing may be thrown through libedit
    }
  }

  unsigned char complete_here() {
    if (!options_.complete) return CC_ERROR;
    const LineInfo* line = libedit_.el_line(edit_);
    std::string before(line->buffer, line->cursor);
    LineCompletions found = options_.complete(before);
    if (found.words.empty() || found.begin > before.size()) return CC_ERROR;
    std::string common = common_start(found.words);
    std::string typed = before.substr(found.begin);
    if (common.starts_with(typed) && common.size() > typed.size())
      return libedit_.el_insertstr(edit_, common.c_str() + typed.size()) == 0 ? CC_REFRESH : CC_ERROR;
    if (found.words.size() == 1) return CC_ERROR;
    write_all(STDOUT_FILENO, "\n" + in_columns(found.words));
    return CC_REDISPLAY;
  }

  void remember(const std::string& line) {
    if (trim(line).empty()) return;
    HistEvent event;
    libedit_.history(history_, &event, H_ENTER, line.c_str());
    if (options_.history_file.empty()) return;
    std::error_code ignored;
    std::filesystem::create_directories(options_.history_file.parent_path(), ignored);
    libedit_.history(history_, &event, H_SAVE, options_.history_file.c_str());
  }

  LineEditorOptions options_;
  const EditLibrary& libedit_ = edit_library();
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  bool given_up_ = false;
  bool was_empty_ = false;
};

LineEditor::LineEditor(LineEditorOptions options) : options_(std::move(options)) {
  prompting_ = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  if (prompting_) terminal_ = Terminal::open(options_);
}

LineEditor::~LineEditor() = default;

std::optional<std::string> LineEditor::next() {
  if (terminal_) return terminal_->next();
  if (prompting_) write_all(STDOUT_FILENO, options_.prompt);
  return next_plain();
}

std::optional<std::string> LineEditor::next_plain() {
  while (true) {
    if (size_t end = pending_.find('\n'); end != std::string::npos) {
      std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return line;
    }
    std::string part = read_some(STDIN_FILENO);
    if (part.empty()) break;
    pending_ += part;
  }
  if (pending_.empty()) return std::nullopt;
  return std::exchange(pending_, {});
}

}  // namespace kiln
