// A component's body by its option table (packer-surface 5.9).
#include <fmt/format.h>

#include "base/text.h"
#include "lang/hcl_body.h"
#include "lang/hcl_json.h"
#include "lang/packer_hcl.h"
#include "lang/packer_hcl_internal.h"

namespace kiln {

namespace {

bool is_block(const OptionDoc& doc) { return doc.type == "block" || doc.type == "list(block)"; }

/// "list(map(string))" as a type; durations are strings, as Packer has them.
HclType type_of_option(std::string_view text) {
  auto inner = [&](std::string_view head) {
    return type_of_option(text.substr(head.size(), text.size() - head.size() - 1));
  };
  if (text == "bool") return HclType::boolean();
  if (text == "number") return HclType::number();
  if (text == "any") return HclType::dynamic();
  if (text.starts_with("list(")) return HclType::list(inner("list("));
  if (text.starts_with("map(")) return HclType::map(inner("map("));
  return HclType::string();
}

HclSchema schema_of(const std::vector<OptionDoc>& docs) {
  HclSchema schema;
  for (const auto& doc : docs) {
    std::vector<std::string> names{doc.name};
    names.insert(names.end(), doc.aliases.begin(), doc.aliases.end());
    for (auto& name : names) {
      if (is_block(doc)) schema.blocks.push_back({std::move(name), {}});
      else schema.attributes.push_back({std::move(name), false});
    }
  }
  return schema;
}

const OptionDoc* doc_named(const std::vector<OptionDoc>& docs, const std::string& name) {
  for (const auto& doc : docs) {
    if (doc.name == name || std::find(doc.aliases.begin(), doc.aliases.end(), name) != doc.aliases.end()) return &doc;
  }
  return nullptr;
}

void add_block_member(Value& object, const HclBlock& block, const OptionDoc& doc, Value value,
                      std::map<std::string, SourceRange>& seen, Diagnostics& diagnostics) {
  if (doc.type == "block") {
    auto [first, added] = seen.emplace(block.type, block.header);
    if (!added) {
      diagnostics.error(fmt::format("Duplicate {} block", block.type),
                        fmt::format("Only one block of type {} is allowed. Previous definition was at {}.",
                                    go_quote(block.type), hcl_place(first->second)),
                        block.header);
      return;
    }
    object.set(block.type, std::move(value));
    return;
  }
  if (!object.find(block.type)) {
    Value list = Value::empty_list();
    list.range = block.header;
    object.set(block.type, std::move(list));
  }
  for (auto& member : object.as_object()) {
    if (member.key != block.type) continue;
    member.value.as_list().push_back(std::move(value));
    return;
  }
}

}  // namespace

Value decode_hcl_component(const HclBody& body, const std::vector<OptionDoc>& docs, const HclScope& scope,
                           Diagnostics& diagnostics) {
  HclContent content = hcl_content(body, schema_of(docs), diagnostics, &scope);
  Value object = Value::empty_object();
  object.range = body.range;
  for (const auto& attribute : content.attributes) {
    const OptionDoc* doc = doc_named(docs, attribute.name);
    if (!doc) continue;
    HclValue value =
        evaluate_hcl_as(*attribute.expression.tree(), type_of_option(doc->type), scope, attribute.name, diagnostics);
    if (value.is_null()) continue;  // as if it were not written
    object.set(attribute.name, to_plain_value(value, attribute.expression.range()));
    object.as_object().back().key_range = attribute.name_range;
  }
  std::map<std::string, SourceRange> seen;
  for (const auto& block : content.blocks) {
    const OptionDoc* doc = doc_named(docs, block.type);
    if (!doc) continue;
    Value value = decode_hcl_component(block.body, doc->nested, scope, diagnostics);
    value.range = block.header;
    add_block_member(object, block, *doc, std::move(value), seen, diagnostics);
  }
  return object;
}

}  // namespace kiln
