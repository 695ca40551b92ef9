// Lines that a person types: at a terminal with editing, history and completion (libedit, loaded when the
// first line is asked for), else as they come from standard input.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// What could replace the end of a line, from byte `begin` of it on.
struct LineCompletions {
  size_t begin = 0;
  std::vector<std::string> words;
};

struct LineEditorOptions {
  std::string prompt;
  std::filesystem::path history_file;  ///< kept between runs, mode 0600; empty: no history is kept
  /// Given the line up to the cursor.
  std::function<LineCompletions(std::string_view before)> complete;
};

class LineEditor {
 public:
  explicit LineEditor(LineEditorOptions options);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  /// The next line without its newline; nullopt at the end of the input, or when Control-C is pressed on an
  /// empty line. Control-C on a line that is not empty gives it up: an empty line is returned.
  std::optional<std::string> next();

 private:
  class Terminal;

  std::optional<std::string> next_plain();

  LineEditorOptions options_;
  std::unique_ptr<Terminal> terminal_;
  bool prompting_ = false;
  std::string pending_;  ///< read, not yet handed out
};

}  // namespace kiln
