#include "core/build_data.h"

namespace kiln {

Value placeholder_build_data(const std::vector<std::string>& builder_names) {
  Value data = Value::empty_object();
  for (auto name : {"ID", "Host", "Port", "User", "Password", "ConnType", "PackerRunUUID", "PackerHTTPPort",
                    "PackerHTTPIP", "PackerHTTPAddr", "SSHPublicKey", "SSHPrivateKey", "WinRMPassword"}) {
    data.set(name, Value(std::string("{{.") + name + "}}"));
  }
  for (const auto& name : builder_names) data.set(name, Value("{{." + name + "}}"));
  return data;
}

Value complete_build_data(Value machine_data, const std::string& run_id) {
  if (!machine_data.is_object()) machine_data = Value::empty_object();
  auto fill = [&](const char* name, const std::string& text) {
    if (machine_data.find(name) == nullptr) machine_data.set(name, Value(text));
  };
  fill("PackerRunUUID", run_id);
  fill("ID", "ERR_ID_NOT_IMPLEMENTED_BY_BUILDER");
  fill("PackerHTTPIP", "ERR_HTTP_IP_NOT_IMPLEMENTED_BY_BUILDER");
  fill("PackerHTTPPort", "ERR_HTTP_PORT_NOT_IMPLEMENTED_BY_BUILDER");
  fill("PackerHTTPAddr", "ERR_HTTP_ADDR_NOT_IMPLEMENTED_BY_BUILDER");
  return machine_data;
}

}  // namespace kiln
