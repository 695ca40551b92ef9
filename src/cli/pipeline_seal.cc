#include "cli/pipeline_seal.h"

#include <algorithm>

namespace kiln {

namespace {

bool makes_linux_machine(const SourceDeclaration& source) {
  if (source.type == "null" || source.type == "file") return false;
  BodyInput input{Value::empty_object(), false, source.type, source.override_name};
  Diagnostics ignored;  // told when the build is planned
  Value config = source.body ? source.body(input, ignored) : Value();
  const Value* way = config.is_object() ? config.find("communicator") : nullptr;
  return !way || !way->is_string() || (way->as_string() != "winrm" && way->as_string() != "none");
}

}  // namespace

bool wants_seal(const StageSettings& settings, bool inline_build) { return settings.seal.value_or(inline_build); }

void seal_builds(Template& parsed) {
  for (auto& build : parsed.builds) {
    bool has_one = std::any_of(build.provisioners.begin(), build.provisioners.end(),
                               [](const ProvisionerDeclaration& one) { return one.type == "seal"; });
    if (has_one) continue;
    ProvisionerDeclaration seal;
    seal.type = "seal";
    seal.body = constant_body(Value::empty_object());
    seal.range = build.range;
    bool any = false;
    for (const auto& source : build.sources) {
      if (makes_linux_machine(source)) any = true;
      else seal.filter.except.push_back(source.filter_name);
    }
    if (any) build.provisioners.push_back(std::move(seal));
  }
}

}  // namespace kiln
