// Dynamic blocks: `dynamic "type" { for_each = ... content {...} }` makes one block of that type for each
// element. Source: the documentation of HCL's dynamic block extension; the words of diagnostics as HCL's.
#include <fmt/format.h>

#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_json.h"

namespace kiln {
namespace {

/// Arguments and blocks that dynamic blocks within each other may make: copies of their contents.
constexpr size_t max_dynamic_copies = 1'000'000;

struct DynamicSpec {
  std::string iterator;
  HclValue for_each;
  HclExpressionPtr for_each_expression;
  std::vector<HclExpressionPtr> labels;
  HclBody content;
};

size_t items_in(const Value& value) {
  size_t sum = 1;
  if (value.is_list())
    for (const Value& item : value.as_list()) sum += items_in(item);
  if (value.is_object())
    for (const Member& member : value.as_object()) sum += items_in(member.value);
  return sum;
}

size_t items_in(const HclBody& body) {
  if (body.json) return items_in(*body.json->value);
  size_t sum = 1 + body.attributes().size();
  for (const auto& block : body.blocks()) sum += items_in(block.body);
  return sum;
}

class DynamicBlocks {
 public:
  DynamicBlocks(const HclBody& body, const HclScope& scope, Diagnostics& diagnostics)
      : outer_(body.bindings), diagnostics_(diagnostics) {
    scope_.parent = &scope;
    if (outer_) scope_.variables = outer_->variables;
  }

  void expand(const HclBlock& block, const HclBlockSchema& schema, std::vector<HclBlock>& out) {
    auto spec = read_spec(block, schema);
    if (!spec) return;
    HclBlock made;
    made.type = schema.type;
    made.type_range = block.labels[0].range;
    made.header = block.header;
    made.range = block.range;
    bool sensitive = spec->for_each.sensitive();
    size_t before = outer_ ? outer_->copies : 1;
    if (!spec->for_each.is_known()) {
      HclValue any = HclValue::unknown(HclType::dynamic());
      add(*spec, made, any, any, bindings(sensitive, true, before), out);
      return;
    }
    size_t count = spec->for_each.length();
    if (count == 0) return;
    if (count > max_dynamic_copies / before ||
        items_in(spec->content) > max_dynamic_copies / before / count) {
      diagnostics_.error(
          "Too many dynamic blocks",
          fmt::format(
              "The dynamic blocks within each other here would make more than {} arguments and blocks.",
              max_dynamic_copies),
          spec->for_each_expression->range);
      return;
    }
    HclBindings shared = bindings(sensitive, false, before * count);
    if (spec->for_each.type().is_keyed()) {
      for (const auto& [key, value] : spec->for_each.members())
        add(*spec, made, HclValue::string(key), value, shared, out);
      return;
    }
    bool is_set = spec->for_each.type().is(HclType::Kind::set);
    int64_t index = 0;
    for (const HclValue& value : spec->for_each.items()) {
      add(*spec, made, is_set ? value : HclValue::number(index), value, shared, out);
      ++index;
    }
  }

 private:
  HclBindings bindings(bool sensitive, bool unknown, size_t copies) const {
    HclBindings out;
    if (outer_) out = *outer_;
    out.sensitive = out.sensitive || sensitive;
    out.unknown = out.unknown || unknown;
    out.copies = copies;
    return out;
  }

  /// The specification without what it is wrapped in: its own arguments are evaluated here, not by who reads
  /// content.
  std::optional<DynamicSpec> read_spec(const HclBlock& block, const HclBlockSchema& schema) {
    HclSchema wanted{{{"for_each", true}, {"iterator", false}}, {{"content", {}}}};
    if (!schema.labels.empty()) wanted.attributes.push_back({"labels", true});
    HclBody body = block.body;
    body.bindings = nullptr;
    Diagnostics found;
    HclContent content = hcl_content(body, wanted, found);
    DynamicSpec spec;
    spec.iterator = schema.type;
    bool good = !found.has_errors() && read_iterator(content, spec, found) &&
                read_for_each(content, spec, found) && read_labels(content, schema, spec, found) &&
                read_content(content, spec, found);
    diagnostics_.append(found);
    if (!good) return std::nullopt;
    return spec;
  }

  static bool read_iterator(const HclContent& content, DynamicSpec& spec, Diagnostics& found) {
    const HclAttribute* attribute = content.find("iterator");
    if (!attribute) return true;
    auto name = hcl_as_reference(*attribute->expression.tree());
    if (!name) {
      found.error("Invalid expression",
                  "A single static variable reference is required: only attribute access and indexing with "
                  "constant keys. "
                  "No calculations, function calls, template expressions, etc are allowed here.",
                  attribute->expression.range());
      return false;
    }
    if (!name->steps.empty()) {
      found.error("Invalid dynamic iterator name", "Dynamic iterator must be a single variable name.",
                  name->range);
      return false;
    }
    spec.iterator = name->root;
    return true;
  }

  bool read_for_each(const HclContent& content, DynamicSpec& spec, Diagnostics& found) const {
    spec.for_each_expression = content.find("for_each")->expression.tree();
    auto refuse = [&](std::string detail) {
      found.add({Severity::error, "Invalid dynamic for_each value", std::move(detail), spec.for_each_expression->range,
                 "", hcl_shown_values(*spec.for_each_expression, scope_)});
      return false;
    };
    spec.for_each = evaluate_hcl(*spec.for_each_expression, scope_, found);
    if (found.has_errors()) return false;
    const HclType& type = spec.for_each.type();
    if (type.is_primitive()) {
      return refuse(fmt::format("Cannot use a {} value in for_each. An iterable collection is required.",
                                type.friendly_name()));
    }
    if (spec.for_each.is_null()) return refuse("Cannot use a null value in for_each.");
    return true;
  }

  static bool read_labels(const HclContent& content, const HclBlockSchema& schema, DynamicSpec& spec,
                          Diagnostics& found) {
    const HclAttribute* attribute = content.find("labels");
    if (!attribute) return true;
    auto list = attribute->expression.tree();
    if (list->kind != HclExpressionKind::tuple) {
      found.error("Invalid expression", "A static list expression is required.",
                  attribute->expression.range());
      return false;
    }
    spec.labels = list->items;
    size_t wanted = schema.labels.size();
    if (spec.labels.size() == wanted) return true;
    bool more = spec.labels.size() > wanted;
    found.error(more ? "Extraneous dynamic block label" : "Insufficient dynamic block labels",
                fmt::format("Blocks of type {} require {} label(s).", go_quote(schema.type), wanted),
                more ? spec.labels[wanted]->range : attribute->expression.range());
    return false;
  }

  static bool read_content(const HclContent& content, DynamicSpec& spec, Diagnostics& found) {
    if (content.blocks.empty()) {
      found.error("Missing dynamic content block",
                  "A dynamic block must have a nested block of type \"content\" to describe the body of each "
                  "generated block.",
                  content.missing_item);
      return false;
    }
    if (content.blocks.size() > 1) {
      found.error("Extraneous dynamic content block",
                  "Only one nested content block is allowed for each dynamic block.",
                  content.blocks[1].header);
      return false;
    }
    spec.content = content.blocks[0].body;
    return true;
  }

  void add(const DynamicSpec& spec, const HclBlock& made, HclValue key, HclValue value,
           const HclBindings& shared, std::vector<HclBlock>& out) {
    auto own = std::make_shared<HclBindings>(shared);
    own->variables[spec.iterator] = HclValue::object({{"key", std::move(key)}, {"value", std::move(value)}});
    HclScope scope;
    scope.parent = &scope_;
    scope.variables[spec.iterator] = own->variables[spec.iterator];
    HclBlock block = made;
    for (const auto& expression : spec.labels) {
      auto label = read_label(*expression, scope);
      if (!label) return;
      block.labels.push_back({std::move(*label), expression->range});
    }
    block.body = spec.content;
    block.body.bindings = std::move(own);
    out.push_back(std::move(block));
  }

  std::optional<std::string> read_label(const HclExpression& expression, const HclScope& scope) {
    Diagnostics found;
    HclValue value = evaluate_hcl(expression, scope, found);
    diagnostics_.append(found);
    if (found.has_errors()) return std::nullopt;
    std::string error;
    auto text = hcl_convert(value, HclType::string(), &error);
    std::string wrong;
    if (!text)
      wrong = fmt::format("Cannot use this value as a dynamic block label: {}.", error);
    else if (text->is_null())
      wrong = "Cannot use a null value as a dynamic block label.";
    else if (!text->is_known())
      wrong = "This value is not yet known. Dynamic block labels must be immediately-known values.";
    else if (text->sensitive())
      wrong = "This value has dynamic marks that make it unsuitable for use as a block label.";
    if (wrong.empty()) return text->as_string();
    diagnostics_.add({Severity::error, "Invalid dynamic block label", wrong, expression.range, "",
                      hcl_shown_values(expression, scope)});
    return std::nullopt;
  }

  std::shared_ptr<const HclBindings> outer_;
  HclScope scope_;  ///< what the dynamic blocks around bring, over the caller's
  Diagnostics& diagnostics_;
};

}  // namespace

void expand_hcl_dynamic(const HclBody& body, const HclSchema& schema, bool partial, const HclScope& scope,
                        HclContent& content, Diagnostics& diagnostics) {
  bool any = false;
  for (const auto& block : content.blocks) any = any || block.type == "dynamic";
  if (!any) return;
  DynamicBlocks dynamic(body, scope, diagnostics);
  std::vector<HclBlock> blocks;
  for (auto& block : content.blocks) {
    if (block.type != "dynamic") {
      blocks.push_back(std::move(block));
    } else if (const auto* wanted = find_block_schema(schema, block.labels[0].text)) {
      dynamic.expand(block, *wanted, blocks);
    } else if (!partial) {
      diagnostics.error(
          "Unsupported block type",
          fmt::format("Blocks of type {} are not expected here.", go_quote(block.labels[0].text)),
          block.labels[0].range);
    }
  }
  content.blocks = std::move(blocks);
}

}  // namespace kiln
