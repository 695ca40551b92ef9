// What is wrong with a template, as values: all of it at once, each with its place.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// A text that was read, kept so that diagnostics can show its lines. Immutable, shared.
struct SourceFile {
  std::string name;  ///< as the person named it
  std::string text;
};

/// A place in a source file: byte offsets [begin, end). Without a file it is "no place known".
struct SourceRange {
  std::shared_ptr<const SourceFile> file;
  size_t begin = 0;
  size_t end = 0;
  bool known() const { return file != nullptr; }
};

struct LineColumn {
  size_t line = 1;    ///< from 1
  size_t column = 1;  ///< from 1, in characters
};
LineColumn line_column(const SourceRange& range);

enum class Severity { error, warning };

/// One thing to tell about a template.
struct Diagnostic {
  Severity severity = Severity::error;
  std::string summary;  ///< Packer's greppable text; may be empty (legacy JSON)
  std::string detail;
  SourceRange range;
  std::string hint;  ///< "Did you mean ...?", what to do
  /// What the names in the expression at fault mean, one a line (`var.x as "abc"`), without secrets.
  std::vector<std::string> values = {};
  SourceRange block = {};  ///< HCL2: the block that Packer names as the place, where `range` lies within it
};

/// Diagnostics in the order they were found. Functions return their best effort and add here; nothing is thrown.
class Diagnostics {
 public:
  void add(Diagnostic diagnostic) { items_.push_back(std::move(diagnostic)); }
  void error(std::string summary, std::string detail = {}, SourceRange range = {}, std::string hint = {});
  void warning(std::string summary, std::string detail = {}, SourceRange range = {}, std::string hint = {});
  void append(const Diagnostics& other);
  bool has_errors() const;
  bool empty() const { return items_.empty(); }
  const std::vector<Diagnostic>& items() const { return items_; }

 private:
  std::vector<Diagnostic> items_;
};

/// "FILE:LINE:COLUMN" followed by the source line and a caret line, or "" when no place is known.
std::string render_place(const SourceRange& range);
/// Packer's shape first ("Error: SUMMARY\n\nDETAIL\n\n", greppable), then place, caret and hint.
std::string render_diagnostic(const Diagnostic& diagnostic);
std::string render_diagnostics(const Diagnostics& diagnostics);

}  // namespace kiln
