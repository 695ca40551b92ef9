// The parser of HCL's native syntax, as one class over the tokens. Internal to lang: hcl_ast.h is what others use.
// Recursive descent. A mistake inside a body item is reported once and the item is skipped, so that one file gives
// several diagnostics. Nesting and the height of trees are bounded.
#pragma once
#include <functional>
#include <unordered_map>
#include <utility>

#include "lang/hcl_ast.h"
#include "lang/hcl_lexer.h"

namespace kiln {

class HclParser {
 public:
  /// `tokens` of the file's text, without comments.
  HclParser(std::shared_ptr<const SourceFile> file, HclTokens tokens, Diagnostics& diagnostics)
      : file_(std::move(file)), tokens_(std::move(tokens)), diagnostics_(diagnostics) {}

  /// What of the text is no token, and whether it is UTF-8 at all. Called first where nobody has looked it through yet.
  void report_invalid_tokens();
  HclBody parse_file();
  /// The expression that the tokens begin with.
  HclExpressionPtr parse_first_expression();
  HclExpressionPtr parse_whole_expression();
  HclExpressionPtr parse_whole_template();

 private:
  using Kind = HclTokenKind;
  using Expression = std::shared_ptr<HclExpression>;
  /// Thrown after a mistake has been reported; caught where the parser can go on.
  struct Failure {};
  /// Whether newlines are tokens, for as long as it lives: they end items in bodies and objects only.
  class NewlineScope {
   public:
    NewlineScope(HclParser& parser, bool matter)
        : parser_(parser), outer_(std::exchange(parser.newlines_matter_, matter)) {}
    ~NewlineScope() { parser_.newlines_matter_ = outer_; }
    NewlineScope(const NewlineScope&) = delete;

   private:
    HclParser& parser_;
    bool outer_;
  };
  struct DepthScope {
    explicit DepthScope(HclParser& parser);
    ~DepthScope() { --parser_.depth_; }
    DepthScope(const DepthScope&) = delete;
    HclParser& parser_;
  };

  // hcl_parser.cc: tokens, diagnostics, bodies
  /// Passes newlines where they do not matter.
  void pass_newlines() {
    while (!newlines_matter_ && tokens_.kind(at_) == Kind::newline) ++at_;
  }
  HclToken peek() {
    pass_newlines();
    return tokens_[at_];
  }
  HclToken next();
  Kind peek_kind() {
    pass_newlines();
    return tokens_.kind(at_);
  }
  bool at(Kind kind) { return peek_kind() == kind; }
  bool at_keyword(std::string_view word) { return at(Kind::identifier) && peek().text == word; }
  SourceRange range_of(const HclToken& token) const { return {file_, token.begin, token.end()}; }
  SourceRange range_from(size_t begin) const { return {file_, begin, last_end_}; }
  void report(std::string summary, std::string detail, SourceRange range, std::string hint = {});
  [[noreturn]] void fail(std::string summary, std::string detail, SourceRange range, std::string hint = {});
  HclBody body(Kind end);
  void body_item(HclBodyItems& items);
  void attribute(HclBodyItems& items, const HclToken& name);
  HclAttribute attribute_value(const HclToken& name);
  void add_attribute(HclBodyItems& items, HclAttribute attribute);
  void block(HclBodyItems& items, const HclToken& type);
  void labels(HclBlock& block);
  void single_line_body(HclBlock& block);
  void skip_item(size_t first_token);

  // hcl_expression_parser.cc
  bool pass_plain_expression();
  size_t plain_term(size_t at, int level) const;
  size_t plain_list(size_t at, Kind close, int level) const;
  size_t plain_template(size_t at, int level) const;
  size_t behind_newlines(size_t at) const;
  Expression make(HclExpressionKind kind, size_t begin, std::vector<HclExpressionPtr> items = {});
  HclExpressionPtr expression();
  HclExpressionPtr binary(int lowest);
  HclExpressionPtr with_steps();
  HclExpressionPtr steps(HclExpressionPtr base, bool names_only);
  HclExpressionPtr add_step(const HclExpressionPtr& base, HclStep step);
  HclExpressionPtr attribute_step(HclExpressionPtr base, bool names_only);
  void check_number(const HclToken& number);
  HclExpressionPtr bracket_step(HclExpressionPtr base, bool& done);
  HclExpressionPtr legacy_index(const HclExpressionPtr& base);
  HclExpressionPtr splat(HclExpressionPtr base, size_t begin, bool names_only);
  HclExpressionPtr term();
  HclExpressionPtr parenthesised();
  HclExpressionPtr unary();
  HclExpressionPtr word();
  HclExpressionPtr call(const HclToken& first);
  HclExpressionPtr tuple();
  HclExpressionPtr object();
  HclExpressionPtr object_key();
  void object_item(std::vector<HclExpressionPtr>& items);
  HclExpressionPtr for_expression(size_t begin, Kind close);
  struct ForNames {
    std::string_view key;  ///< "": there is none
    std::string_view value;
  };
  ForNames for_names(bool is_directive);

  // hcl_template_parser.cc
  struct Part {
    enum class Kind { literal, interpolation, if_start, else_mark, if_end, for_start, for_end } kind = Kind::literal;
    std::string text;  ///< literal
    HclExpressionPtr expression;
    ForNames names;
    size_t begin = 0, end = 0;
  };
  SourceRange range_of(const Part& part) const { return {file_, part.begin, part.end}; }
  HclExpressionPtr quoted();
  HclExpressionPtr literal_text(const HclToken& token, size_t begin);
  HclExpressionPtr heredoc();
  HclExpressionPtr template_until(Kind end, bool flush, size_t begin);
  std::vector<Part> template_parts(Kind end, bool& closed);
  Part interpolation(bool& trims_next);
  Part control(bool& trims_next);
  void close_sequence(const HclToken& open, std::string_view summary, bool& trims_next);
  std::string unescape(const HclToken& token);
  size_t escape(const HclToken& token, size_t at, std::string& out);
  HclExpressionPtr build_template(std::vector<Part>& parts, size_t begin);
  std::vector<HclExpressionPtr> build_items(std::vector<Part>& parts, size_t& at);
  HclExpressionPtr build_directive(std::vector<Part>& parts, size_t& at);
  HclExpressionPtr joined(std::vector<HclExpressionPtr> items, size_t begin, size_t end);

  std::shared_ptr<const SourceFile> file_;
  HclTokens tokens_;
  Diagnostics& diagnostics_;
  size_t at_ = 0;
  size_t last_end_ = 0;  ///< where the last token that was taken ends
  bool newlines_matter_ = true;
  int depth_ = 0;
  std::unordered_map<std::string_view, size_t> body_names_;  ///< of the body that is read: its attributes' positions
};

/// The text without the "$${" and "%%{" of literals ("${", "%{").
std::string hcl_unescape_markers(std::string_view text);

}  // namespace kiln
