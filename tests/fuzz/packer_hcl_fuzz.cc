// Whole HCL2 templates: declarations, variables, evaluation, lowering. No input may crash or run away.
#include <string>

#include "lang/packer_hcl.h"

using namespace kiln;

namespace {

const std::vector<OptionDoc>* any_options(std::string_view, const std::string&) {
  static const std::vector<OptionDoc> docs{
      {.name = "text", .type = "string"},
      {.name = "list", .type = "list(string)"},
      {.name = "map", .type = "map(string)"},
      {.name = "input", .type = "string"},
      {.name = "part", .type = "list(block)", .nested = {{.name = "text", .type = "string"}}}};
  return &docs;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 64 * 1024) return 0;
  bool json = size > 0 && data[0] == '{';
  std::string text(reinterpret_cast<const char*>(data), size);
  auto file = std::make_shared<SourceFile>(SourceFile{json ? "t.pkr.json" : "t.pkr.hcl", std::move(text)});
  Diagnostics diagnostics;
  HclEnvironment environment;
  auto config = std::make_shared<PackerHcl>(parse_packer_hcl({file}, "1.16.0", environment.host, diagnostics));
  if (diagnostics.has_errors()) return 0;
  collect_hcl_variables(*config, {}, diagnostics);
  validate_hcl_variables(*config, environment.host, diagnostics);
  environment.components.docs = any_options;
  environment.components.known = [](std::string_view) { return std::vector<std::string>{"null"}; };
  environment.components.outputs = [](const std::string&) { return any_options("", ""); };
  environment.run_data = [](const HclComponentBlock&, const Value& options, bool, Diagnostics&) {
    return std::optional(options);
  };
  environment.matches = [](const std::string& pattern, const std::string& name) { return pattern == name; };
  auto evaluation = std::make_shared<HclEvaluation>(config, environment);
  Template lowered = lower_packer_hcl(evaluation, diagnostics);
  for (const auto& build : lowered.builds) {
    for (const auto& source : build.sources) source.body({}, diagnostics);
    for (const auto& step : build.provisioners) step.body({}, diagnostics);
  }
  return 0;
}
