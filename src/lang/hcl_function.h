// What a function of HCL is. The functions themselves: hcl_functions.h.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lang/hcl_value.h"

namespace kiln {

struct HclBudget;  // hcl_eval.h

/// What functions may reach of the outside; lang itself opens nothing. A member that is not set makes the functions
/// that need it fail with a clear message. Called on the thread that evaluates.
struct HclHost {
  std::string base_directory;     ///< file(), templatefile(), fileset()...: relative paths start here
  std::string working_directory;  ///< abspath(), filebase64()
  std::string home;               ///< pathexpand("~")
  std::chrono::system_clock::time_point started{};  ///< legacy_isotime, legacy_strftime
  std::function<std::chrono::system_clock::time_point()> now;
  /// Content of a file; throws Error with Go's text ("open x: no such file or directory").
  std::function<std::string(const std::string& path)> read_file;
  /// The mode as Go prints it ("-rw-r--r--" a regular file, "drwxr-xr-x" a directory), links followed; "" when nothing
  /// is there. Throws Error when it cannot be told.
  std::function<std::string(const std::string& path)> stat;
  /// All regular files below a directory, relative to it, sorted (fileset).
  std::function<std::vector<std::string>(const std::string& directory)> list_files;
  std::function<void(void* bytes, size_t size)> random;
  /// vault, consul_key, aws_secretsmanager[_raw]: (function, arguments) -> secret; throws Error.
  std::function<std::string(const std::string& function, const std::vector<std::string>& arguments)> secret;
  std::function<std::optional<std::string>(const std::string& name)> env;
  /// Set: all evaluations with this host spend it together, those that functions begin (templatefile) too. Else every
  /// evaluation has one of its own.
  HclBudget* budget = nullptr;
};

/// A function's mistake: the message in Packer's words and the argument it is about (0-based; -1: the call).
struct HclFunctionError {
  std::string message;
  int argument = -1;
};

struct HclParameter {
  std::string name;
  HclType type;
  bool allow_null = false;
  bool allow_unknown = false;  ///< else an unknown argument makes the result unknown without a call
  bool allow_dynamic = false;  ///< the type function may see an argument whose type is not known yet
  bool allow_marked = false;   ///< else marks are taken off and put on the result
};

/// Called with converted arguments. Throws HclFunctionError.
struct HclFunction {
  std::string doc;  ///< one sentence
  /// Its arguments are not evaluated before: `can`, `try` and `convert`, the only three. The evaluator checks the number
  /// of arguments by `parameters` and `variadic` as for any function and then does their work itself; `type` and `call`
  /// are empty.
  bool lazy = false;
  std::vector<HclParameter> parameters;
  std::optional<HclParameter> variadic;
  /// The result's type for these arguments (some maybe unknown). Throws HclFunctionError.
  std::function<HclType(const std::vector<HclValue>& arguments)> type;
  /// `result` is what `type` said, so that nothing is parsed or unified twice.
  std::function<HclValue(const std::vector<HclValue>& arguments, const HclType& result, const HclHost& host)> call;
};
using HclFunctionTable = std::map<std::string, HclFunction, std::less<>>;
/// Gives a table, which it makes at its first call: most templates are looked at without calling any function.
using HclFunctions = std::function<const HclFunctionTable&()>;

/// Calls with all the rules about nulls, unknowns, marks and conversion (cty's Function.Call): `arguments` as
/// written. Throws HclFunctionError; with wrong count its message is cty's.
HclValue call_hcl_function(const HclFunction& function, const std::vector<HclValue>& arguments, const HclHost& host);

/// All functions of Packer 1.16 (packer-surface 5.13) but env(). Built once.
const HclFunctionTable& hcl_functions();
/// env() alone: all that a variable's default may call.
const HclFunctionTable& hcl_variable_functions();

}  // namespace kiln
