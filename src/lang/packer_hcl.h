// Packer's HCL2 templates: blocks, variables, and their evaluation by dependency, lowered to a Template.
// Source: packer-surface part 5. Pure: files come as text, the outside through HclHost and callbacks.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lang/diagnostic.h"
#include "lang/hcl_ast.h"
#include "lang/hcl_body.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_eval.h"
#include "lang/option.h"
#include "lang/template.h"

namespace kiln {

/// Where a variable's value comes from, in the words of Packer's messages.
enum class HclValueSource { none, default_value, env, varfile, cmd };

struct HclVariable {
  std::string name;
  HclTypeConstraint constraint;
  bool typed = false;     ///< a type was written, or taken from the default
  std::string description;
  bool sensitive = false;
  std::optional<HclValue> default_value;
  struct Validation {
    HclExpressionPtr condition;
    std::string error_message;
    SourceRange range;            ///< of the block
    SourceRange condition_range;
  };
  std::vector<Validation> validations;
  SourceRange range;

  // What collecting found; the last source wins.
  std::optional<HclValue> value;
  HclValueSource source = HclValueSource::none;
  SourceRange value_range;
};

struct HclLocal {
  std::string name;
  HclWritten expression;  ///< its place is the one Packer names
  bool sensitive = false;
};

/// A data or source block.
struct HclComponentBlock {
  std::string type;
  std::string name;
  HclBody body;
  SourceRange range;
};

struct HclRequiredPlugin {
  std::string name;    ///< accessor: the prefix of its components
  std::string source;  ///< "github.com/hashicorp/qemu"
  std::string version; ///< constraint as written
  SourceRange range;
};

/// A configuration after its files were read: names and bodies, nothing evaluated yet.
struct PackerHcl {
  std::string path;  ///< as the person named it
  std::vector<std::shared_ptr<const SourceFile>> files;
  std::vector<HclVariable> variables;  ///< in written order
  std::vector<HclLocal> locals;
  std::vector<HclComponentBlock> data;
  std::vector<HclComponentBlock> sources;
  std::vector<HclBlock> builds;
  std::vector<HclBlock> registries;  ///< top-level hcp_packer_registry
  std::vector<HclBlock> more;        ///< blocks of the types that the reader was asked to take besides
  std::vector<HclRequiredPlugin> required_plugins;
  Diagnostics late;  ///< told when the template is evaluated, as Packer does: inspect and -syntax-only pass over it

  HclVariable* find_variable(std::string_view name);
};

/// Reads template files (`.pkr.hcl`, `.pkr.json`) in the order given. required_version of all files is checked
/// against `packer_version` first, then the blocks' shape, variables, names. All mistakes are reported. `more` are
/// block types beyond Packer's, kept as they are.
PackerHcl parse_packer_hcl(const std::vector<std::shared_ptr<const SourceFile>>& files,
                           const std::string& packer_version, const HclHost& host, Diagnostics& diagnostics,
                           const std::vector<HclBlockSchema>& more = {});

/// Values for variables from outside.
struct HclVariableInput {
  std::vector<std::pair<std::string, std::string>> environment;  ///< PKR_VAR_ taken off, in any order
  std::vector<std::shared_ptr<const SourceFile>> files;  ///< auto files, then -var-file, in order of precedence
  std::vector<std::pair<std::string, std::string>> command_line;  ///< -var
  bool warn_undeclared = false;  ///< of names in files
};
void collect_hcl_variables(PackerHcl& config, const HclVariableInput& input, Diagnostics& diagnostics);
/// Unset variables and validation rules (step 10 of packer-surface 5.2).
void validate_hcl_variables(const PackerHcl& config, const HclHost& host, Diagnostics& diagnostics);

/// What is known of components without running one. `docs` is nullptr for a type that does not exist.
struct HclComponentDocs {
  std::function<const std::vector<OptionDoc>*(std::string_view kind, const std::string& type)> docs;
  std::function<std::vector<std::string>(std::string_view kind)> known;  ///< all types, for messages
  /// What a data source yields: names with the types of OptionDoc.
  std::function<const std::vector<OptionDoc>*(const std::string& type)> outputs;
};
// Kinds as the messages call them.
inline constexpr std::string_view kind_source = "source", kind_provisioner = "provisioner",
                                  kind_post_processor = "post-processor", kind_data = "data", kind_tester = "test";

/// Runs a data source with its decoded options, or looks at the options alone; nullopt where there is no value.
using HclDataRunner = std::function<std::optional<Value>(const HclComponentBlock& block, const Value& config,
                                                         bool only_check, Diagnostics& diagnostics)>;

struct HclEnvironment {
  HclHost host;
  std::string root_directory;  ///< path.root as Packer gives it: the template's directory, relative if named so
  std::string packer_version;
  HclComponentDocs components;
  HclDataRunner run_data;
  bool run_data_sources = false;  ///< false: they are only checked and yield unknown values
  bool sequential = false;        ///< -use-sequential-evaluation: all data, then all locals
  const HclScope* around = nullptr;  ///< names beyond the template's own; outlives the evaluation
  bool only_needed = false;          ///< locals and data sources that no selected build refers to are passed over
  std::vector<std::string> only;  ///< -only, -except: globs over build names
  std::vector<std::string> except;
  std::function<bool(const std::string& pattern, const std::string& name)> matches;  ///< a glob
  /// Whether -only or -except may leave builds out.
  bool selects() const { return !only.empty() || !except.empty(); }
};

/// Values of variables, locals and data. Shared by all that is evaluated later, in any thread.
class HclEvaluation {
 public:
  HclEvaluation(std::shared_ptr<const PackerHcl> config, HclEnvironment environment);
  ~HclEvaluation();

  /// Evaluates all locals and data sources, each after what it refers to.
  void evaluate_all(Diagnostics& diagnostics);
  /// Evaluates only what these expressions need.
  void evaluate_for(const std::vector<HclReference>& references, Diagnostics& diagnostics);

  /// Names for expressions of sources and builds: var, local, data, path, packer and the functions.
  const HclScope& scope() const;
  const PackerHcl& config() const { return *config_; }
  const HclEnvironment& environment() const { return environment_; }
  const std::map<std::string, HclValue>& variables() const;
  const std::map<std::string, HclValue>& locals() const;
  /// Whether the local could not be evaluated; its value is then unknown.
  bool failed(const std::string& local) const;
  /// Strings that must be masked: of sensitive variables and locals.
  std::vector<std::string> secrets() const;

 private:
  class Graph;
  std::shared_ptr<const PackerHcl> config_;
  HclEnvironment environment_;
  std::unique_ptr<Graph> graph_;
};

/// The builds as a Template: sources with their overrides, provisioners, post-processors; those that -only and -except
/// leave. Locals and data are evaluated as the selection needs (all of them without one).
Template lower_packer_hcl(const std::shared_ptr<HclEvaluation>& evaluation, Diagnostics& diagnostics);

/// For inspect: builds with the names of what is in them, without evaluating more than that.
Template outline_packer_hcl(const std::shared_ptr<HclEvaluation>& evaluation);

/// A component's body decoded by its option table to what OptionTable::decode takes: members typed and converted,
/// blocks as objects or lists of objects. Unknown keys and wrong types are diagnostics in HCL's words.
Value decode_hcl_component(const HclBody& body, const std::vector<OptionDoc>& docs, const HclScope& scope,
                           Diagnostics& diagnostics);

}  // namespace kiln
