// Bodies of HCL's native syntax by a schema, and what both syntaxes share. Source: HCL's information model;
// the words of diagnostics as HCL's.
#include "lang/hcl_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/hcl_json.h"

namespace kiln {
namespace {

constexpr size_t max_suggestion_edits = 2;

/// Whether two words are at most two edits apart. Linear: only the diagonal and two places beside it can
/// matter.
bool is_near(const std::u32string& a, const std::u32string& b) {
  constexpr size_t far = max_suggestion_edits + 1;
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) > max_suggestion_edits) return false;
  constexpr size_t width = 2 * max_suggestion_edits + 1;  // row[k]: distance to b[0, i + k - 2)
  std::array<size_t, width> row{};
  for (size_t k = 0; k < width; ++k) row[k] = k < max_suggestion_edits ? far : k - max_suggestion_edits;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::array<size_t, width> next{};
    next.fill(far);
    for (size_t k = 0; k < width; ++k) {
      if (i + k < max_suggestion_edits || i + k - max_suggestion_edits > b.size()) continue;
      size_t j = i + k - max_suggestion_edits;
      size_t best = k + 1 < width ? row[k + 1] + 1 : far;
      if (j == 0) {
        best = i;
      } else {
        if (k > 0) best = std::min(best, next[k - 1] + 1);
        best = std::min(best, row[k] + (a[i - 1] == b[j - 1] ? 0 : 1));
      }
      next[k] = std::min(best, far);
    }
    row = next;
  }
  return row[b.size() + max_suggestion_edits - a.size()] <= max_suggestion_edits;
}

std::u32string hcl_runes(std::string_view text) {
  std::u32string out;
  while (!text.empty()) out += static_cast<char32_t>(take_rune(text));
  return out;
}

/// The nearest name as a hint where HCL itself has none.
std::string body_name_hint(std::string_view detail_suggestion, std::string_view given,
                           const std::vector<std::string_view>& names) {
  if (!detail_suggestion.empty()) return {};
  auto nearest = nearest_name(given, {names.begin(), names.end()});
  return nearest ? fmt::format("Did you mean \"{}\"?", *nearest) : "";
}

std::string label_names(const HclBlockSchema& schema) { return join(schema.labels, ", "); }

/// Whether the block has as many labels as the schema wants; else it is reported.
bool check_labels(const HclBlock& block, const HclBlockSchema& schema, Diagnostics& diagnostics) {
  size_t wanted = schema.labels.size();
  if (block.labels.size() > wanted) {
    std::string detail = wanted == 0 ? fmt::format("No labels are expected for {} blocks.", block.type)
                                     : fmt::format("Only {} labels ({}) are expected for {} blocks.", wanted,
                                                   label_names(schema), block.type);
    diagnostics.error(fmt::format("Extraneous label for {}", block.type), detail, block.labels[wanted].range);
    return false;
  }
  if (block.labels.size() < wanted) {
    SourceRange brace = block.body.range;
    if (brace.known())
      brace.end = std::min(brace.begin + 1, brace.end);
    else
      brace = block.header;
    diagnostics.error(
        fmt::format("Missing {} for {}", schema.labels[block.labels.size()], block.type),
        fmt::format("All {} blocks must have {} labels ({}).", block.type, wanted, label_names(schema)),
        brace);
    return false;
  }
  return true;
}

void report_unsupported_attribute(const HclAttribute& attribute, const HclSchema& schema,
                                  const HclContent& content, Diagnostics& diagnostics) {
  std::vector<std::string_view> names;
  for (const auto& known : schema.attributes) {
    if (!content.find(known.name)) names.push_back(known.name);
  }
  std::string suggestion = hcl_name_suggestion(attribute.name, names);
  if (suggestion.empty() && find_block_schema(schema, attribute.name)) {
    suggestion = fmt::format(" Did you mean to define a block of type {}?", go_quote(attribute.name));
  }
  diagnostics.error(
      "Unsupported argument",
      fmt::format("An argument named {} is not expected here.{}", go_quote(attribute.name), suggestion),
      attribute.name_range, body_name_hint(suggestion, attribute.name, names));
}

void report_unsupported_block(const HclBlock& block, const HclSchema& schema, bool dynamic,
                              Diagnostics& diagnostics) {
  std::vector<std::string_view> names;
  for (const auto& known : schema.blocks) names.push_back(known.type);
  if (dynamic) names.push_back("dynamic");
  std::string suggestion = hcl_name_suggestion(block.type, names);
  if (suggestion.empty() && find_attribute_schema(schema, block.type)) {
    suggestion =
        fmt::format(" Did you mean to define argument {}? If so, use the equals sign to assign it a value.",
                    go_quote(block.type));
  }
  diagnostics.error(
      "Unsupported block type",
      fmt::format("Blocks of type {} are not expected here.{}", go_quote(block.type), suggestion),
      block.type_range, body_name_hint(suggestion, block.type, names));
}

/// The expression with what the dynamic blocks around it bring.
HclWritten bound_expression(const HclWritten& written, const std::shared_ptr<const HclBindings>& bindings) {
  auto node = std::make_shared<HclExpression>();
  node->range = written.range();
  if (bindings->unknown) {
    node->value = Value::unknown();
    node->value.secret = bindings->sensitive;
    return HclWritten(std::move(node));
  }
  auto inner = written.tree();
  node->kind = HclExpressionKind::bound;
  node->depth = inner->depth + 1;
  node->items.push_back(std::move(inner));
  node->set_bindings(bindings);
  return HclWritten(std::move(node));
}

HclContent content_of(const HclBody& body, const HclSchema& schema, HclBody* rest, Diagnostics& diagnostics,
                      const HclScope* dynamic) {
  HclContent content = body.json ? hcl_json_content(body, schema, dynamic != nullptr, rest, diagnostics)
                                 : hcl_native_content(body, schema, dynamic != nullptr, rest, diagnostics);
  if (body.bindings) {
    for (auto& attribute : content.attributes)
      attribute.expression = bound_expression(attribute.expression, body.bindings);
    for (auto& block : content.blocks) block.body.bindings = body.bindings;
  }
  if (dynamic) expand_hcl_dynamic(body, schema, rest != nullptr, *dynamic, content, diagnostics);
  return content;
}

}  // namespace

const HclAttribute* HclContent::find(std::string_view name) const {
  for (const auto& attribute : attributes) {
    if (attribute.name == name) return &attribute;
  }
  return nullptr;
}

const HclBlockSchema* find_block_schema(const HclSchema& schema, std::string_view type) {
  for (const auto& known : schema.blocks) {
    if (known.type == type) return &known;
  }
  return nullptr;
}

const HclAttributeSchema* find_attribute_schema(const HclSchema& schema, std::string_view name) {
  for (const auto& known : schema.attributes) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

std::string hcl_name_suggestion(std::string_view given, const std::vector<std::string_view>& names) {
  if (given.size() > 1000) return {};
  std::u32string word = hcl_runes(given);
  for (std::string_view name : names) {
    if (is_near(word, hcl_runes(name))) return fmt::format(" Did you mean {}?", go_quote(name));
  }
  return {};
}

std::string hcl_place(const SourceRange& range) {
  auto begin = line_column(range);
  auto end = line_column({range.file, range.end, range.end});
  std::string name = range.known() ? range.file->name : "";
  if (begin.line == end.line) return fmt::format("{}:{},{}-{}", name, begin.line, begin.column, end.column);
  return fmt::format("{}:{},{}-{},{}", name, begin.line, begin.column, end.line, end.column);
}

std::string hcl_place(const Diagnostic& diagnostic) {
  SourceRange range = diagnostic.range;
  if (diagnostic.summary == "Error in function call" && range.known()) {
    size_t open = range.file->text.find('(', range.begin);
    if (open < range.end) range.end = open + 1;
  }
  return hcl_place(range);
}

HclContent hcl_native_content(const HclBody& body, const HclSchema& schema, bool dynamic, HclBody* rest,
                              Diagnostics& diagnostics) {
  static const HclBlockSchema dynamic_schema{"dynamic", {"type"}};
  HclContent out;
  out.missing_item = body.range;
  out.missing_item.end = out.missing_item.begin;
  for (const auto& wanted : schema.attributes) {
    if (!wanted.required || body.find(wanted.name)) continue;
    diagnostics.error(
        "Missing required argument",
        fmt::format("The argument {} is required, but no definition was found.", go_quote(wanted.name)),
        out.missing_item);
  }
  HclBodyItems left;
  for (const auto& attribute : body.attributes()) {
    auto& list = find_attribute_schema(schema, attribute.name) ? out.attributes : left.attributes;
    if (rest || &list == &out.attributes) list.push_back(attribute);
  }
  std::vector<const HclBlock*> unsupported;
  for (const auto& block : body.blocks()) {
    bool is_dynamic = dynamic && block.type == "dynamic";
    const HclBlockSchema* wanted = is_dynamic ? &dynamic_schema : find_block_schema(schema, block.type);
    bool leave = !wanted || (is_dynamic && rest && block.labels.size() == 1 &&
                             !find_block_schema(schema, block.labels[0].text));
    if (leave && rest)
      left.blocks.push_back(block);
    else if (!wanted)
      unsupported.push_back(&block);
    else if (check_labels(block, *wanted, diagnostics))
      out.blocks.push_back(block);
  }
  if (rest) {
    HclBody others;
    others.range = body.range;
    others.end = body.end;
    others.bindings = body.bindings;
    others.set_items(std::move(left));
    *rest = std::move(others);
    return out;
  }
  for (const auto& attribute : body.attributes()) {
    if (!find_attribute_schema(schema, attribute.name)) {
      report_unsupported_attribute(attribute, schema, out, diagnostics);
    }
  }
  for (const HclBlock* block : unsupported) report_unsupported_block(*block, schema, dynamic, diagnostics);
  return out;
}

HclBody parse_hcl_json(const std::shared_ptr<const SourceFile>& file, Diagnostics& diagnostics) {
  Value root = parse_hcl_json_value(file, diagnostics);
  if (!root.is_object() && !root.is_list()) {
    SourceRange place = root.range;
    diagnostics.error("Root value must be object",
                      "The root value in a JSON-based configuration must be either a JSON object or a JSON "
                      "array of objects.",
                      place);
    root = Value::empty_object();
    root.range = {file, 0, 0};
  }
  HclBody out;
  out.range = {file, 0, file->text.size()};
  out.end = {file, root.range.end > 0 ? root.range.end - 1 : 0, root.range.end};
  if (root.is_list()) out.end = {file, root.range.begin, root.range.begin + 1};
  auto json = std::make_shared<HclJsonBody>();
  json->value = std::make_shared<const Value>(std::move(root));
  out.json = std::move(json);
  return out;
}

HclContent hcl_content(const HclBody& body, const HclSchema& schema, Diagnostics& diagnostics,
                       const HclScope* dynamic) {
  return content_of(body, schema, nullptr, diagnostics, dynamic);
}

HclContent hcl_partial_content(const HclBody& body, const HclSchema& schema, HclBody& rest,
                               Diagnostics& diagnostics, const HclScope* dynamic) {
  HclBody left;  // `rest` may be `body` itself
  HclContent out = content_of(body, schema, &left, diagnostics, dynamic);
  rest = std::move(left);
  return out;
}

std::vector<HclAttribute> hcl_just_attributes(const HclBody& body, Diagnostics& diagnostics) {
  std::vector<HclAttribute> out = body.json ? hcl_json_attributes(body, diagnostics) : body.attributes();
  if (!body.blocks().empty()) {
    const HclBlock& first = body.blocks()[0];
    diagnostics.error(fmt::format("Unexpected {} block", go_quote(first.type)),
                      "Blocks are not allowed here.", first.type_range);
  }
  if (body.bindings) {
    for (auto& attribute : out) attribute.expression = bound_expression(attribute.expression, body.bindings);
  }
  return out;
}

}  // namespace kiln
