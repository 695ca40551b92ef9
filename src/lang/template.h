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

/// A component's configuration, evaluated when it is needed: once while preparing (build data unknown) and again
/// just before it runs. Legacy JSON gives the same object each time; HCL2 evaluates its expressions.
using ConfigBody = std::function<Value(const Value& build_data, Diagnostics& diagnostics)>;
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
  std::string name;  ///< as written: legacy names may hold template actions until variables are known
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

/// A legacy JSON template after parsing; HCL2 lowers its builds to the same lists.
struct Template {
  std::string path;  ///< as named by the person; "-" for standard input
  std::string description;
  std::string min_packer_version;
  std::vector<VariableDeclaration> variables;  ///< in written order
  std::vector<std::string> sensitive_variables;
  std::vector<SourceDeclaration> builders;
  std::vector<ProvisionerDeclaration> provisioners;
  std::optional<ProvisionerDeclaration> error_cleanup_provisioner;
  std::vector<PostProcessorChain> post_processors;
};

}  // namespace kiln
