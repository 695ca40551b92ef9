// A template after parsing, the same for legacy JSON and HCL2: nothing above lang knows which it was.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lang/diagnostic.h"
#include "lang/value.h"

namespace kiln {

/// What a component's configuration may depend on besides the template.
struct BodyInput {
  Value build_data;               ///< an object: what is known of the machine, or placeholders
  bool build_data_known = false;  ///< false while preparing: build_data then has only the names
  std::string source_type;
  std::string source_name;        ///< the name within the build
};

/// A component's configuration, evaluated when it is needed: once while preparing and again just before it runs.
/// Legacy JSON gives the same object each time; HCL2 evaluates its expressions. Callable from any thread.
using ConfigBody = std::function<Value(const BodyInput& input, Diagnostics& diagnostics)>;
/// A body that is a constant.
ConfigBody constant_body(Value value);

/// only/except of a block: build names it is limited to. At most one is non-empty (both set is a diagnostic).
struct BuildFilter {
  std::vector<std::string> only;
  std::vector<std::string> except;
  bool allows(const std::string& build) const;
};

struct VariableDeclaration {
  std::string name;
  std::optional<Value> default_value;  ///< nullopt: required
  bool sensitive = false;
  SourceRange range;
};

struct SourceDeclaration {
  std::string type;
  /// As written, also what PACKER_BUILD_NAME says: legacy names may hold template actions until variables are known.
  std::string name;
  std::string
      display_name;  ///< HCL2: "BUILD.TYPE.LOCALNAME", what -only goes by. Legacy JSON: empty, made by the planner
  std::string filter_name;    ///< what only/except of blocks go by: the name, in HCL2 "TYPE.LOCALNAME"
  std::string override_name;  ///< what `override` goes by: the name, in HCL2 the local one
  ConfigBody body;
  SourceRange range;
};

/// A provisioner block with its meta-arguments (packer-surface 3.6).
struct ProvisionerDeclaration {
  std::string type;
  std::string name;  ///< HCL2 only
  BuildFilter filter;
  std::map<std::string, Value> overrides;  ///< raw build name -> members that replace those of the body
  std::chrono::nanoseconds pause_before{0};
  std::chrono::nanoseconds timeout{0};  ///< 0: none. Ignored by Packer when pause_before is set
  Value max_retries;                    ///< number or template string; null: 0
  bool continue_on_error = false;
  /// Kiln's own: whether the machine's state after it is kept and used again; nullopt: as its builder does by itself.
  std::optional<bool> cache;
  std::chrono::nanoseconds max_age{0};  ///< Kiln's own: how long such a state may be used; 0: for ever
  ConfigBody body;
  SourceRange range;
};

/// A post-processor block (packer-surface 3.7).
struct PostProcessorDeclaration {
  std::string type;
  std::string name;  ///< default: the type
  BuildFilter filter;
  std::optional<bool> keep_input_artifact;
  ConfigBody body;
  SourceRange range;
};
using PostProcessorChain = std::vector<PostProcessorDeclaration>;

/// Sources that are taken through the same steps. Legacy JSON has one, HCL2 one a build block.
struct BuildDeclaration {
  std::string name;  ///< HCL2 only; may be empty
  std::string description;
  std::vector<SourceDeclaration> sources;
  std::vector<ProvisionerDeclaration> provisioners;
  std::optional<ProvisionerDeclaration> error_cleanup_provisioner;
  std::vector<PostProcessorChain> post_processors;
  SourceRange range;
};

enum class TemplateLanguage { json, hcl2 };

/// A template after parsing: of HCL2 the selected builds, of legacy JSON all of it.
struct Template {
  TemplateLanguage language = TemplateLanguage::json;
  std::string path;  ///< as named by the person; "-" for standard input
  std::string description;
  std::string min_packer_version;
  std::vector<VariableDeclaration> variables;  ///< in written order; legacy JSON
  std::vector<std::string> sensitive_variables;
  std::vector<BuildDeclaration> builds;
  std::vector<std::string> secrets;  ///< HCL2: texts to be masked

  bool is_hcl() const { return language == TemplateLanguage::hcl2; }
  /// The one build of a legacy template.
  BuildDeclaration& build() { return builds.empty() ? builds.emplace_back() : builds[0]; }
  const BuildDeclaration& build() const { return builds[0]; }
};

}  // namespace kiln
