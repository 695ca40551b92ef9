#include "builder/qemu/machine.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "builder/qemu/state.h"

namespace kiln::qemu {

Value QemuMachine::build_data() {
  Running& r = *running_;
  Value data = Value::empty_object();
  data.set("ConnType", r.comm.communicator);
  data.set("Host", r.comm.host());
  data.set("Port", r.comm.port());
  data.set("User", r.comm.user());
  data.set("Password", r.comm.password());
  data.set("WinRMPassword", r.comm.winrm_password);
  data.set("SSHPublicKey", r.public_key);
  data.set("SSHPrivateKey", r.private_key);
  data.set("SSHPrivateKeyFile", r.comm.ssh_private_key_file);
  data.set("SSHAgentAuth", r.comm.ssh_agent_auth);
  data.set("PackerHTTPIP", r.values.http_ip);
  data.set("PackerHTTPPort", fmt::format("{}", r.values.http_port));
  data.set("PackerHTTPAddr", fmt::format("{}:{}", r.values.http_ip, r.values.http_port));
  data.set("SSHHostPort", r.values.host_port);
  data.set("HTTPIP", r.values.http_ip);
  data.set("HTTPPort", r.values.http_port);
  return data;
}

std::unique_ptr<PendingState> QemuMachine::save_state(const fs::path& directory, StageContext& context) {
  if (!running_->memory) return nullptr;
  return freeze(*running_, config_, directory, context);
}

void QemuMachine::collect_evidence(const fs::path& directory) { collect_vm_evidence(*running_, directory); }

void collect_vm_evidence(Running& running, const fs::path& directory) {
  try {
    if (running.vm && running.vm->alive()) running.vm->screenshot(directory, Stop());
  } catch (const Error&) {
    // No screen is no reason to lose the rest.
  }
  try {
    if (!running.argv.empty()) {
      write_file_atomically(directory / "reproduce.sh", reproduce_script(running.argv), 0755);
    }
  } catch (const Error&) {
    // Likewise.
  }
}

namespace {

/// Control sockets, the guest channel, memory in a descriptor that a person does not have.
bool leads_to_us(const std::string& option, const std::string& value) {
  if (option == "-machine") return false;
  for (const char* name : {"kiln-control", "=kiln-guest", "id=kiln-serial", "id=kiln-memory"}) {
    if (contains(value, name)) return true;
  }
  return false;
}

}  // namespace

std::string reproduce_script(const std::vector<std::string>& argv) {
  std::string text = "#!/bin/sh\n# The machine as it was started; its disk and images must still exist.\nexec";
  for (size_t i = 0; i < argv.size(); ++i) {
    // What leads to us: control sockets, the guest channel, memory in a descriptor that a person does not have.
    bool ours = i + 1 < argv.size() && (argv[i] == "-incoming" || leads_to_us(argv[i], argv[i + 1]));
    if (ours) {
      ++i;
      continue;
    }
    bool option = argv[i].starts_with('-') && i > 0;
    text += (option ? " \\\n  " : " ") + shell_quote(replace_all(argv[i], ",memory-backend=kiln-memory", ""));
  }
  return text + "\n";
}

}  // namespace kiln::qemu
