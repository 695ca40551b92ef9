// What a body refers to, told without a schema and without evaluating.
#include "lang/hcl_body.h"
#include "lang/hcl_json.h"

namespace kiln {

namespace {

void add_references(const HclExpressionPtr& expression, std::vector<HclReference>& out) {
  if (!expression) return;
  for (auto& reference : hcl_references(*expression)) out.push_back(std::move(reference));
}

/// A JSON body as one expression: what is a block's body and what an object makes no difference here.
void add_json_references(const HclBody& body, std::vector<HclReference>& out, const char* only = nullptr) {
  const Value* value = body.json->value.get();
  if (only) value = value->find(only);
  if (!value) return;
  add_references(hcl_json_expression(*value), out);
}

}  // namespace

void hcl_body_references(const HclBody& body, std::vector<HclReference>& out) {
  if (body.json) return add_json_references(body, out);
  for (const auto& attribute : body.attributes()) add_references(attribute.expression.tree(), out);
  for (const auto& block : body.blocks()) hcl_body_references(block.body, out);
}

void hcl_dynamic_references(const HclBody& body, std::vector<HclReference>& out) {
  if (body.json) return add_json_references(body, out, "dynamic");
  for (const auto& block : body.blocks()) {
    if (block.type == "dynamic") hcl_body_references(block.body, out);
  }
}

}  // namespace kiln
