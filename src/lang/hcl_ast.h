// The tree of HCL's native syntax: bodies, attributes, blocks, expressions, templates, each with its place.
// Source: the HCL native syntax specification. Plain values; evaluation is not here.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lang/diagnostic.h"
#include "lang/value.h"

namespace kiln {

struct HclExpression;
struct HclBindings;  // hcl_eval.h
struct HclJsonBody;  // hcl_json.h
/// Shared and immutable once parsed.
using HclExpressionPtr = std::shared_ptr<const HclExpression>;

enum class HclExpressionKind : uint8_t {
  literal,        ///< value: number, bool, null, or the text of a template without interpolations
  tmpl,           ///< items: the parts, joined as text
  template_wrap,  ///< items[0]: "${x}" alone, which keeps the type of x
  scope,          ///< name, steps: a variable and what is taken of it
  traversal,      ///< items[0], steps: the same of any other expression
  index,          ///< items[0][items[1]] with a key that is no literal
  splat,          ///< items[0] is the list; each element goes through items[1] (null: the element itself)
  splat_item,     ///< stands for "the element" within items[1] of a splat
  call,           ///< name(items...), expands: the last argument is "x..."
  conditional,    ///< items[0] ? items[1] : items[2]
  binary,         ///< items[0] name items[1]; name is the operator
  unary,          ///< name items[0]; "-" or "!"
  parentheses,    ///< (items[0]): matters where a key of an object is computed
  tuple,          ///< [items...]
  object,         ///< {items[0] = items[1], items[2] = items[3], ...}; a bare word as a key is a literal
  for_tuple,      ///< [for name, value_name in items[0] : items[1] if items[2]]
  for_object,     ///< {for name, value_name in items[0] : items[1] => items[2] if items[3]}, expands: "..."
  template_for,   ///< %{for name, value_name in items[0]}items[1]%{endfor}
  template_if,    ///< %{if items[0]}items[1]%{else}items[2]%{endif}
  bound,          ///< items[0] with `bindings` in scope besides: an attribute within a dynamic block's content
  wrong_string,   ///< a string of the JSON syntax that is no valid template: report_hcl_json_string() says why
};

/// ".name" or "[key]" with a literal key (a string or a number).
struct HclStep {
  enum class Kind : uint8_t { attribute, index } kind = Kind::attribute;
  std::string name;  ///< attribute
  SourceRange range;

  /// Of an index; null of an attribute.
  const Value& key() const;
  void set_key(Value key) { key_ = std::make_shared<const Value>(std::move(key)); }

 private:
  std::shared_ptr<const Value> key_;  ///< most steps are attributes
};

/// What few kinds have is kept apart.
struct HclExpression {
  HclExpressionKind kind = HclExpressionKind::literal;
  bool expands = false;
  /// From the JSON syntax: `value` of a string holds its text also where it is a template (for those who want it as it
  /// was written), and an object's keys must differ.
  bool json = false;
  int depth = 1;  ///< height of the tree; bounded by the parser so that recursion over it is safe
  SourceRange range;
  Value value;
  std::string name;  ///< variable, function, operator; of a for: the key's variable, "" when there is none
  std::vector<HclStep> steps;
  std::vector<HclExpressionPtr> items;  ///< a missing optional one (if clause) is null

  /// Where `name` stands; not known: it was not written.
  SourceRange name_range() const;
  void set_name_range(size_t begin, size_t end);  ///< in the file of `range`
  /// Of a for: the value's variable.
  const std::string& value_name() const;
  void set_value_name(std::string value_name);
  /// Of `bound`; else null.
  const HclBindings* bindings() const;
  void set_bindings(std::shared_ptr<const HclBindings> bindings);

 private:
  struct Rest {
    std::string value_name;
    std::shared_ptr<const HclBindings> bindings;
  };
  uint32_t name_begin_ = 0;
  uint32_t name_end_ = 0;
  std::shared_ptr<const Rest> rest_;
};

/// An expression as a body holds it. Of the native syntax that is only where it stands: the parser has looked it
/// through and kept no tree, which would take many times the memory of the text. Whoever needs the tree has it made.
/// Copied freely.
class HclWritten {
 public:
  HclWritten() = default;  ///< none: there is no tree
  /// `range` in a file of the native syntax, which parse_hcl() has read.
  explicit HclWritten(SourceRange range) : range_(std::move(range)) {}
  explicit HclWritten(HclExpressionPtr made) : range_(made->range), made_(std::move(made)) {}

  const SourceRange& range() const { return range_; }
  /// Made anew each time, in time linear in the text. Null only when there is none.
  HclExpressionPtr tree() const;
  explicit operator bool() const { return range_.known() || made_; }

 private:
  SourceRange range_;
  HclExpressionPtr made_;  ///< null: the text at range_ is it
};

struct HclAttribute {
  std::string name;
  HclWritten expression;
  SourceRange name_range;
  SourceRange range;
};

struct HclLabel {
  std::string text;
  SourceRange range;
};

struct HclBlock;

/// Both in written order; names of attributes are unique.
struct HclBodyItems {
  std::vector<HclAttribute> attributes;
  std::vector<HclBlock> blocks;
};

/// Immutable once it has its items, which all copies share.
struct HclBody {
  SourceRange range;
  SourceRange end;  ///< where something missing would be reported: the closing brace or the end of the file
  std::shared_ptr<const HclJsonBody> json;      ///< set: the body is JSON's, and hcl_content() finds what is in it
  std::shared_ptr<const HclBindings> bindings;  ///< set: within a dynamic block; hcl_content() hands them on

  const std::vector<HclAttribute>& attributes() const;
  const std::vector<HclBlock>& blocks() const;
  void set_items(HclBodyItems items);
  const HclAttribute* find(std::string_view name) const;

 private:
  std::shared_ptr<const HclBodyItems> items_;  ///< null: there are none
};

struct HclBlock {
  std::string type;
  std::vector<HclLabel> labels;
  HclBody body;
  SourceRange type_range;
  SourceRange header;  ///< type and labels
  SourceRange range;
};

/// A file. What is wrong becomes diagnostics, several from one file; the body holds all that could be read.
HclBody parse_hcl(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics);
/// One expression that fills the file (for `console`, -var of complex types). Null after an error.
HclExpressionPtr parse_hcl_expression(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics);
/// The whole file as a template without quotes (templatefile). Null after an error.
HclExpressionPtr parse_hcl_template(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics);

/// A string of the JSON syntax where no value but a name, a call or a type is asked for: its text read as a native
/// expression. Null when it is none, or when `expression` is no string of the JSON syntax.
HclExpressionPtr parse_hcl_json_static(const HclExpression& expression);
/// What is wrong with a `wrong_string`. It is told when the string is evaluated: not every string is.
void report_hcl_json_string(const HclExpression& wrong_string, Diagnostics& diagnostics);

}  // namespace kiln
