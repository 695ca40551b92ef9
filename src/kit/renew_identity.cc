#include "kit/renew_identity.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "kit/identity_paths.h"

namespace kiln {

namespace {

// $ROOT is for tests: another directory taken for the root, of whose services none is asked.
constexpr const char* renew_library = R"SH(
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH
fail() { echo "$*" >&2; exit 1; }
has_systemd() { [ -z "$ROOT" ] && [ -d /run/systemd/system ]; }
# The daemons of a name, without the processes they have for their clients.
daemons() {
  if [ -n "$ROOT" ]; then return 0; fi
  for pid in $(pidof "$1" 2>/dev/null); do
    if [ "$(sed 's/.*) . \([0-9]*\).*/\1/' "/proc/$pid/stat" 2>/dev/null)" = 1 ]; then echo "$pid"; fi
  done
}
# Starts a daemon again, as it was started.
again() {
  daemons "$1" | while IFS= read -r pid; do
    tr '\0' '\n' <"/proc/$pid/cmdline" >"/run/kiln-again.$pid" || continue
    kill "$pid"
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 50 ]; do
      sleep 0.1 2>/dev/null || sleep 1
      tries=$((tries + 1))
    done
    set --
    while IFS= read -r word; do set -- "$@" "$word"; done <"/run/kiln-again.$pid"
    rm -f "/run/kiln-again.$pid"
    "$@" </dev/null >/dev/null 2>&1 || fail "$1 could not be started again"
  done || exit 1
}
)SH";

constexpr const char* renew_machine_id = R"SH(
id=$(tr -d - </proc/sys/kernel/random/uuid) || fail "no random numbers"
for file in "$ROOT/etc/machine-id" "$ROOT/var/lib/dbus/machine-id"; do
  if [ ! -s "$file" ] || [ -L "$file" ] || [ "$(cat "$file")" = uninitialized ]; then continue; fi
  printf '%s\n' "$id" >"$file" || fail "$file cannot be written"
done
if has_systemd; then systemctl try-restart systemd-journald.service; fi
)SH";

constexpr const char* renew_host_keys = R"SH(
ssh_keys | while IFS= read -r key; do
  if [ ! -f "$key" ] || [ "${key%.pub}" != "$key" ]; then continue; fi
  type=${key##*/ssh_host_}
  type=${type%_key}
  rm -f "$key.new" "$key.new.pub"
  ssh-keygen -q -t "$type" -N '' -f "$key.new" </dev/null || fail "$key: no new key could be made"
  mv -f "$key.new" "$key" && mv -f "$key.new.pub" "$key.pub" || fail "$key cannot be written"
done || exit 1
dropbear_keys | while IFS= read -r key; do
  if [ ! -f "$key" ]; then continue; fi
  type=${key##*/dropbear_}
  rm -f "$key.new"
  dropbearkey -t "${type%_host_key}" -f "$key.new" >/dev/null || fail "$key: no new key could be made"
  mv -f "$key.new" "$key" || fail "$key cannot be written"
done || exit 1
for pid in $(daemons sshd); do kill -HUP "$pid"; done
again dropbear
)SH";

constexpr const char* renew_leases = R"SH(
lease_files | while IFS= read -r file; do rm -f "$file"; done
if has_systemd; then
  systemctl try-restart systemd-networkd.service NetworkManager.service 2>/dev/null
fi
for client in udhcpc dhclient dhcpcd; do again "$client"; done
)SH";

}  // namespace

std::string renew_identity_script(const std::vector<std::string>& what) {
  auto wanted = [&](const char* name) { return std::find(what.begin(), what.end(), name) != what.end(); };
  std::string out = "ROOT=${ROOT-}\n" + std::string(identity_paths) + renew_library;
  if (wanted(renewable_machine_id)) out += renew_machine_id;  // first: a lease may be asked for by it
  if (wanted(renewable_host_keys)) out += renew_host_keys;
  if (wanted(renewable_leases)) out += renew_leases;
  return out + "exit 0\n";
}

void renew_identity(Communicator& communicator, const std::vector<std::string>& what,
                    const Deadline& deadline, const Stop& stop) {
  std::string script = shell_quote(renew_identity_script(what));
  std::string said;
  auto note = [&](std::string_view bytes) { said += bytes; };
  std::string command =
      "if [ \"$(id -u)\" = 0 ]; then /bin/sh -c " + script + "; else sudo -n /bin/sh -c " + script + "; fi";
  int status = communicator.run(command, note, note, deadline, stop);
  if (status == 0) return;
  throw Error(ErrorKind::remote,
              "what it has in common with other copies cannot be made anew (that takes root or sudo): " +
                  std::string(trim(said)));
}

}  // namespace kiln
