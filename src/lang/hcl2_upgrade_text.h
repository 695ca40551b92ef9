// Template actions of legacy JSON turned into HCL2 expressions. Internal to lang: hcl2_upgrade.h is what others use.
#pragma once
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lang/go_template_exec.h"

namespace kiln::hcl2_upgrade {

/// Translates blocks of HCL whose strings still hold template actions: {{user `x`}} -> ${var.x}. The text of a block
/// is run as one Go template whose functions return HCL. Keeps account of what the result needs beside it.
class Translator {
 public:
  /// A read of AWS's Secrets Manager, which becomes a data source.
  struct Secret {
    std::string name;
    std::string key;  ///< may be empty
  };

  std::set<std::string> locals;  ///< variables that become locals, those known so far
  bool uses_timestamp = false;
  bool uses_isotime = false;
  bool uses_strftime = false;
  std::vector<Secret> secrets;  ///< in the order met

  /// The block, translated. What cannot be is left, under a comment that says why.
  std::string translate(const std::string& block, bool in_variables);

 private:
  go_template::StandInFunctions functions(bool in_variables, std::vector<std::string>& complaints);
  std::string secret(const std::vector<std::string>& arguments);
};

/// Does a variable's default call anything but `env`? HCL2 allows no more in a variable, so it becomes a local.
bool needs_local(const std::string& default_text);
/// Names given to `user` anywhere in the text of a template; nothing when the text as a whole cannot be run with
/// `user` as its only function.
std::set<std::string> used_variables(const std::string& raw);

}  // namespace kiln::hcl2_upgrade
