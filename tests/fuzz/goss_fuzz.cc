// Any text as a gossfile: rendered, read, decoded; what is decoded makes a script and gets a verdict on an empty
// answer. No crash, bounded; every place lies inside the file.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "lang/yaml.h"
#include "tester/goss/matcher.h"
#include "tester/goss/verdict.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  GossTemplateScope scope;
  scope.vars = Value::empty_object();
  scope.read_file = [](const std::string& path) { return path; };
  Rendered rendered = render_goss_template(std::string(reinterpret_cast<const char*>(data), size), scope);
  if (!rendered.ok()) return 0;
  auto file = std::make_shared<SourceFile>(SourceFile{"goss.yaml", rendered.text});
  Diagnostics diagnostics;
  GossDocument document = decode_goss(parse_yaml(file, diagnostics), diagnostics);
  for (const auto& item : diagnostics.items()) {
    KILN_CHECK(item.range.begin <= item.range.end && item.range.end <= rendered.text.size());
    line_column(item.range);
  }
  std::string script = goss_script(document.resources, "N");
  GossAnswers answers("N", [](size_t, const GossRecord&) {});
  answers.feed(script);
  for (const auto& resource : document.resources) {
    KILN_CHECK(judge_goss(resource, {}, {}).size() == resource.expectations.size());
    judge_goss(resource, {{"exists", "true"}, {"stat", rendered.text}, {"contents", rendered.text}, {"stdout", rendered.text}},
               {{"passwd", rendered.text}, {"mountinfo", rendered.text}, {"tcp", rendered.text}});
  }
  return 0;
}
