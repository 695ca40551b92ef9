// Where a Linux machine keeps what tells it from its copies.
#pragma once

namespace kiln {

/// POSIX sh, for busybox too: functions that print paths, one a line, whether something is there or not.
/// $ROOT is the machine's root directory; empty: it is this machine.
constexpr const char* identity_paths = R"SH(
paths() { printf '%s\n' "$@"; }
ssh_keys() { paths "$ROOT"/etc/ssh/ssh_host_*key "$ROOT"/etc/ssh/ssh_host_*key.pub; }
dropbear_keys() { paths "$ROOT"/etc/dropbear/dropbear_*_host_key; }
lease_files() {
  lib="$ROOT/var/lib"
  paths "$lib"/dhcp/*.lease* "$lib"/dhclient/*.lease* "$lib"/dhcpcd/*.lease* "$lib"/dhcpcd5/*.lease* "$lib"/dhcpcd/duid \
    "$lib"/NetworkManager/*.lease "$lib"/NetworkManager/seen-bssids "$lib"/NetworkManager/timestamps \
    "$lib"/NetworkManager/secret_key "$ROOT"/etc/udev/rules.d/70-persistent-net.rules
}
)SH";

}  // namespace kiln
