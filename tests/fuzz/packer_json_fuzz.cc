// Any text as a legacy template: no crash; variables are resolved within bounds; every diagnostic can be shown.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "lang/packer_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kiln;
  auto file =
      std::make_shared<SourceFile>(SourceFile{"fuzz.json", std::string(reinterpret_cast<const char*>(data), size)});
  Diagnostics diagnostics;
  Template parsed = parse_packer_json(file, diagnostics);
  TemplateScope scope;
  scope.env = [](const std::string& name) -> std::optional<std::string> { return name; };
  auto values = resolve_variables(parsed, {{"given", "{{user `a`}}"}}, scope, diagnostics);
  for (const auto& build : parsed.builds) {
    for (const auto& source : build.sources) {
      KILN_CHECK(!source.type.empty() && !source.name.empty());
      source.body({}, diagnostics);
    }
    for (const auto& chain : build.post_processors) KILN_CHECK(!chain.empty());
  }
  packer_parse_error_text(diagnostics);
  render_diagnostics(diagnostics);
  return 0;
}
