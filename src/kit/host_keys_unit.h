// The systemd unit that makes a machine's ssh host keys at its first start, for images that were left without any.
#pragma once

namespace kiln {

constexpr const char* host_keys_unit_name = "image-ssh-host-keys.service";

/// Each copy of the image makes keys of its own. The quick kinds only: RSA takes seconds on a slow machine. Goes to
/// /etc/systemd/system, wanted by multi-user.target. Not before ssh.socket: that one starts before all services, and
/// what it starts is ssh.service. After cloud-init, which makes keys itself when it runs.
constexpr const char* host_keys_unit_text =
    "[Unit]\n"
    "Description=Make this machine's ssh host keys\n"
    "ConditionPathExists=/usr/bin/ssh-keygen\n"
    "ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n"
    "Before=ssh.service sshd.service\n"
    "After=cloud-init.service cloud-init-network.service\n"
    "\n"
    "[Service]\n"
    "Type=oneshot\n"
    "ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N \"\" -f /etc/ssh/ssh_host_ed25519_key\n"
    "ExecStart=/usr/bin/ssh-keygen -q -t ecdsa -N \"\" -f /etc/ssh/ssh_host_ecdsa_key\n"
    "\n"
    "[Install]\n"
    "WantedBy=multi-user.target\n";

}  // namespace kiln
