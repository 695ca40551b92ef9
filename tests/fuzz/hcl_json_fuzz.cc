// Any text as HCL's JSON syntax, read by a schema with dynamic blocks, its attributes evaluated: no crash,
// bounded; every place lies inside the file.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "lang/hcl_body.h"

namespace {

using namespace kiln;

struct Reader {
  size_t size = 0;
  HclScope scope;
  HclSchema schema{{{"a", false}, {"type", true}}, {{"b", {}}, {"c", {"kind", "name"}}, {"d", {"name"}}}};
  Diagnostics found;
  int left = 2000;  ///< bodies to look into

  void check(const SourceRange& range) const { KILN_CHECK(range.begin <= range.end && range.end <= size); }

  void check(const HclExpression& expression) {
    check(expression.range);
    for (const auto& step : expression.steps) check(step.range);
    for (const auto& item : expression.items) {
      if (item) check(*item);
    }
  }

  void evaluate(const HclAttribute& attribute) {
    check(*attribute.expression.tree());
    check(attribute.range);
    evaluate_hcl(*attribute.expression.tree(), scope, found);
    hcl_as_reference(*attribute.expression.tree());
    hcl_references(*attribute.expression.tree());
  }

  void read(const HclBody& body) {
    if (--left < 0) return;
    for (const auto& attribute : hcl_just_attributes(body, found)) evaluate(attribute);
    HclBody rest;
    HclSchema some{{{"a", false}}, {{"d", {"name"}}}};
    hcl_partial_content(body, some, rest, found, &scope);
    HclContent content = hcl_content(rest, schema, found, left % 2 ? &scope : nullptr);
    content = hcl_content(body, schema, found, &scope);
    check(content.missing_item);
    for (const auto& attribute : content.attributes) evaluate(attribute);
    for (const auto& block : content.blocks) {
      check(block.header);
      read(block.body);
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto file = std::make_shared<SourceFile>(
      SourceFile{"fuzz.json", std::string(reinterpret_cast<const char*>(data), size)});
  Reader reader;
  reader.size = size;
  reader.scope.variables["x"] = HclValue::unknown(HclType::dynamic());
  reader.scope.variables["l"] =
      HclValue::list(HclType::string(), {HclValue::string("p"), HclValue::string("q")});
  HclBody body = parse_hcl_json(file, reader.found);
  reader.read(body);
  for (const auto& item : reader.found.items()) {
    KILN_CHECK(item.range.known());
    reader.check(item.range);
  }
  return 0;
}
