// Any text as HCL: no crash, bounded; every place lies inside the file; an expression alone and a template too.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "lang/hcl_ast.h"

namespace {

void check(const kiln::HclExpressionPtr& expression, size_t size) {
  if (!expression) return;
  KILN_CHECK(expression->range.begin <= expression->range.end && expression->range.end <= size);
  for (const auto& item : expression->items) check(item, size);
}

void check(const kiln::HclBody& body, size_t size) {
  for (const auto& attribute : body.attributes()) {
    auto tree = attribute.expression.tree();
    KILN_CHECK(tree->range.begin == attribute.expression.range().begin);
    KILN_CHECK(tree->range.end == attribute.expression.range().end);
    check(tree, size);
  }
  for (const auto& block : body.blocks()) check(block.body, size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  auto file =
      std::make_shared<SourceFile>(SourceFile{"fuzz.hcl", std::string(reinterpret_cast<const char*>(data), size)});
  Diagnostics diagnostics;
  check(parse_hcl(file, diagnostics), size);
  check(parse_hcl_expression(file, diagnostics), size);
  check(parse_hcl_template(file, diagnostics), size);
  for (const auto& item : diagnostics.items()) {
    KILN_CHECK(item.range.known());
    KILN_CHECK(item.range.begin <= item.range.end);
    render_diagnostic(item);
  }
  return 0;
}
