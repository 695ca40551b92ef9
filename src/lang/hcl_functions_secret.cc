// vault consul_key aws_secretsmanager aws_secretsmanager_raw env: what the host fetches.
#include <fmt/format.h>

#include "base/error.h"
#include "lang/hcl_function_kit.h"

namespace kiln {
namespace hcl_fn {
namespace {

Body fetched_by(const std::string& name) {
  return [name](const Arguments& arguments, const HclType&, const HclHost& host) {
    if (!host.secret) {
      fail(fmt::format(
          "{} is not to be had here: read the value outside and give it by -var, a variable file or the "
          "environment",
          name));
    }
    std::vector<std::string> texts;
    for (const auto& argument : arguments) {
      if (!argument.is_null()) texts.push_back(argument.as_string());
    }
    try {
      return HclValue::string(host.secret(name, texts));
    } catch (const Error& e) {
      fail(e.message());
    }
  };
}

void add_fetched(HclFunctionTable& table, const std::string& name, std::string doc,
                 std::vector<HclParameter> parameters) {
  table[name] = function(std::move(doc), std::move(parameters), always(HclType::string()), fetched_by(name));
}

}  // namespace

void add_secret(HclFunctionTable& table) {
  add_fetched(table, "vault", "Reads a field of a secret of HashiCorp Vault.", {text("path"), text("key")});
  add_fetched(table, "consul_key", "Reads a key of Consul.", {text("key")});
  add_fetched(table, "aws_secretsmanager", "Reads a secret of AWS Secrets Manager, or one key of it.",
              {text("name"), text("key", takes_null)});
  add_fetched(table, "aws_secretsmanager_raw", "Reads a secret of AWS Secrets Manager as it is stored.",
              {text("name")});
}

}  // namespace hcl_fn

const HclFunctionTable& hcl_variable_functions() {
  static const HclFunctionTable table = [] {
    using namespace hcl_fn;
    HclFunctionTable out;
    out["env"] =
        function("Returns a variable of the environment, or an empty text.", {text("key")},
                 always(HclType::string()), [](const Arguments& a, const HclType&, const HclHost& host) {
                   if (!host.env) fail("the environment is not to be had here");
                   return HclValue::string(host.env(a[0].as_string()).value_or(""));
                 });
    return out;
  }();
  return table;
}

}  // namespace kiln
