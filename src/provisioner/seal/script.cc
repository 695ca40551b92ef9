#include "provisioner/seal/script.h"

#include <fmt/format.h>

#include "base/text.h"
#include "kit/host_keys_unit.h"
#include "kit/identity_paths.h"

namespace kiln {

namespace {

// What all parts use. Paths that are told are the machine's own, without $ROOT. A function that ends with a test
// may return anything: nobody looks.
constexpr const char* seal_library = R"SH(
tell() { printf 'kiln-seal\t%s\t%s\t%s\n' "$1" "$2" "$3"; }
did() { tell done "$1"; }
left() { kept "$2" || tell left "${2#"$ROOT"}" "$1"; }

live() { [ -z "$ROOT" ]; }
there() { [ -e "$1" ] || [ -L "$1" ]; }

# Something is mounted there or below: its content is not the image's.
MOUNTS="
$(cut -d' ' -f2 /proc/mounts 2>/dev/null)
"
mounted() {
  case "$MOUNTS" in
    *"
$1
"* | *"
$1/"*) return 0 ;;
  esac
  return 1
}

# Removes a file or directory, but for what is kept.
remove() {
  if ! there "$1" || kept "$1" || mounted "$1"; then return 0; fi
  if [ -d "$1" ] && [ ! -L "$1" ] && holds_kept "$1"; then
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do remove "$entry"; done
    return 0
  fi
  rm -rf "$1"
}

# Paths come on standard input, one a line. $1: what is told when there was one.
remove_all() {
  count=0
  while IFS= read -r path; do
    if ! there "$path" || kept "$path" || mounted "$path"; then continue; fi
    remove "$path"
    count=$((count + 1))
  done
  if [ "$count" != 0 ]; then did "$1 ($count)"; fi
}

# A leftover when it is there. $1: what it is.
found() {
  if ! there "$2" || kept "$2" || mounted "$2"; then return 0; fi
  if [ -d "$2" ] && [ ! -L "$2" ] && holds_kept "$2"; then
    for entry in "$2"/* "$2"/.[!.]* "$2"/..?*; do found "$1" "$entry"; done
    return 0
  fi
  left "$1" "$2"
}
found_all() { while IFS= read -r path; do found "$1" "$path"; done; }

# The home directories of all accounts.
homes() {
  {
    paths /root
    cut -d: -f6 "$ROOT/etc/passwd" 2>/dev/null
    for home in "$ROOT"/home/*; do paths "${home#"$ROOT"}"; done
  } | sort -u | while IFS= read -r home; do
    case "$home" in
      /) paths "$ROOT" ;;
      /*) if [ -d "$ROOT$home" ]; then paths "$ROOT$home"; fi ;;
    esac
  done
}
)SH";

constexpr const char* temporary_keys_part = R"SH(
OTHER_BUILDS='[[:space:]]packer_[0-9a-f]{8}-[0-9a-f-]+[[:space:]]*$'
key_files() {
  {
    homes | while IFS= read -r home; do paths "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2"; done
    paths "$ROOT"/etc/ssh/authorized_keys "$ROOT"/etc/ssh/authorized_keys/* "$ROOT"/etc/ssh/authorized_keys.d/* \
      "$ROOT"/etc/dropbear/authorized_keys
  } | while IFS= read -r file; do
    if [ -f "$file" ] && ! kept "$file" && holds_temporary_key "$file"; then paths "$file"; fi
  done
}
holds_temporary_key() { grep -q -F -e "$KEY" "$1" || grep -q -E -e "$OTHER_BUILDS" "$1"; }
clean_temporary_keys() {
  key_files | while IFS= read -r file; do
    rest=$(grep -v -F -e "$KEY" "$file" | grep -v -E -e "$OTHER_BUILDS")
    if [ -n "$rest" ]; then printf '%s\n' "$rest" >"$file"; else rm -f "$file"; fi
    did "removed the build's ssh key from ${file#"$ROOT"}"
  done
}
lint_temporary_keys() { key_files | while IFS= read -r file; do left "holds a build's temporary ssh key" "$file"; done; }
)SH";

constexpr const char* host_keys_part = R"SH(
# Something of this machine makes the keys when there are none.
ssh_keys_are_remade() {
  units="$ROOT/etc/systemd/system"
  if there "$units/multi-user.target.wants/$KEYS_UNIT"; then return 0; fi
  for directory in "$units" "$ROOT"/usr/lib/systemd/system "$ROOT"/lib/systemd/system; do
    for unit in ssh sshd; do
      if grep -q -s -E '^(Wants|Requires)=.*(sshd-keygen|sshdgenkeys)' "$directory/$unit.service"; then return 0; fi
    done
  done
  if grep -q -s ssh-keygen "$ROOT"/etc/init.d/sshd "$ROOT"/etc/init.d/ssh; then return 0; fi
  if [ -d "$units" ] && [ -e "$ROOT/usr/bin/ssh-keygen" ]; then
    printf '%s' "$KEYS_UNIT_TEXT" >"$units/$KEYS_UNIT" && chmod 644 "$units/$KEYS_UNIT" &&
      mkdir -p "$units/multi-user.target.wants" &&
      ln -s "/etc/systemd/system/$KEYS_UNIT" "$units/multi-user.target.wants/$KEYS_UNIT" || return 1
    did "installed $KEYS_UNIT, which makes ssh host keys at the first start"
    return 0
  fi
  [ -e "$ROOT/usr/bin/cloud-init" ]
}
dropbear_keys_are_remade() {
  for file in init.d/dropbear conf.d/dropbear default/dropbear inittab rc.local systemd/system/dropbear.service; do
    if grep -q -s -E 'dropbearkey|(dropbear|ARGS|OPTS).*[[:space:]"=-][A-Za-z]*R' "$ROOT/etc/$file"; then return 0; fi
  done
  grep -q -s -E 'dropbearkey|ExecStart=.*dropbear.* -[A-Za-z]*R' "$ROOT"/usr/lib/systemd/system/dropbear*.service \
    "$ROOT"/lib/systemd/system/dropbear*.service
}
any_there() { while IFS= read -r path; do if there "$path" && ! kept "$path"; then return 0; fi; done; return 1; }
clean_host_keys() {
  if ssh_keys | any_there && ssh_keys_are_remade; then ssh_keys | remove_all "removed ssh host keys"; fi
  if dropbear_keys | any_there && dropbear_keys_are_remade; then
    dropbear_keys | remove_all "removed dropbear's host keys"
  fi
}
lint_host_keys() {
  ssh_keys | found_all "$A_HOST_KEY"
  dropbear_keys | found_all "$A_HOST_KEY"
}
)SH";

constexpr const char* machine_id_part = R"SH(
clean_machine_id() {
  id="$ROOT/etc/machine-id"
  bus="$ROOT/var/lib/dbus/machine-id"
  if [ -s "$id" ] && ! kept "$id" && [ ! -L "$id" ]; then
    # Where there is no systemd, D-Bus makes a missing id, but takes an empty one for broken.
    if [ -d "$ROOT/etc/systemd/system" ]; then : >"$id"; else rm -f "$id"; fi
    did "emptied /etc/machine-id"
  fi
  if [ -f "$bus" ] && [ ! -L "$bus" ] && ! kept "$bus"; then
    rm -f "$bus"
    if [ -f "$id" ] && [ ! -L "$id" ]; then ln -s /etc/machine-id "$bus"; fi
    did "removed D-Bus' copy of the machine id"
  fi
}
lint_machine_id() {
  for file in "$ROOT/etc/machine-id" "$ROOT/var/lib/dbus/machine-id"; do
    if [ -L "$file" ] || [ ! -s "$file" ]; then continue; fi
    if [ "$(cat "$file")" != uninitialized ]; then left "this machine's id" "$file"; fi
  done
}
)SH";

constexpr const char* cloud_init_part = R"SH(
# Scripts and the seed in /var/lib/cloud belong to the image.
cloud_paths() {
  for name in instance instances data sem; do paths "$ROOT/var/lib/cloud/$name"; done
  paths "$ROOT"/var/log/cloud-init.log "$ROOT"/var/log/cloud-init-output.log
}
# It runs on beside those who have logged in. After an error `cloud-init status` no longer tells that; systemd does.
cloud_init_runs() {
  if [ -d /run/systemd/system ]; then
    systemctl list-jobs --no-legend 2>/dev/null | grep -q -E ' cloud-(init|config|final)'
  else
    case "$(cloud-init status 2>/dev/null)" in *running*) return 0 ;; *) return 1 ;; esac
  fi
}
clean_cloud_init() {
  tries=0
  while live && [ "$tries" -lt 300 ] && command -v cloud-init >/dev/null 2>&1 && cloud_init_runs; do
    sleep 1
    tries=$((tries + 1))
  done
  cloud_paths | remove_all "removed cloud-init's state"
}
lint_cloud_init() { cloud_paths | found_all "cloud-init's state: it would not run again"; }
)SH";

constexpr const char* history_part = R"SH(
history_files() {
  homes | while IFS= read -r home; do
    for name in .bash_history .ash_history .zsh_history .zhistory .sh_history .history .mysql_history .psql_history \
      .sqlite_history .python_history .node_repl_history .lesshst .viminfo .wget-hsts .local/share/fish/fish_history; do
      paths "$home/$name"
    done
  done
}
clean_history() { history_files | remove_all "removed shell histories"; }
lint_history() { history_files | found_all "a history of what someone typed"; }
)SH";

constexpr const char* package_caches_part = R"SH(
package_files() {
  cache="$ROOT/var/cache"
  paths "$cache"/apt/archives/*.deb "$cache"/apt/archives/partial/* "$cache"/apt/*.bin
  for file in "$ROOT"/var/lib/apt/lists/*; do
    case "$file" in */partial | */lock) ;; *) paths "$file" ;; esac
  done
  paths "$ROOT"/var/lib/apt/lists/partial/*
  paths "$cache"/dnf/* "$cache"/libdnf5/* "$cache"/yum/* "$cache"/zypp/* "$cache"/pacman/pkg/* "$cache"/apk/*
  homes | while IFS= read -r home; do paths "$home/.cache/pip"; done
}
clean_package_caches() { package_files | remove_all "removed package caches"; }
lint_package_caches() { package_files | found_all "a package cache"; }
)SH";

constexpr const char* logs_part = R"SH(
is_rotated() {
  case "$1" in
    *.gz | *.xz | *.bz2 | *.zst | *.[0-9] | *.[0-9][0-9] | *.old) return 0 ;;
    *-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]) return 0 ;;
  esac
  return 1
}
log_files() {
  find "$ROOT/var/log" -type f 2>/dev/null | while IFS= read -r file; do
    case "$file" in "$ROOT"/var/log/journal/*) ;; *) paths "$file" ;; esac
  done
}
clean_logs() {
  if live && command -v journalctl >/dev/null 2>&1; then # it goes on in /run
    journalctl --relinquish-var >/dev/null 2>&1 || journalctl --rotate >/dev/null 2>&1
  fi
  paths "$ROOT"/var/log/journal/* | remove_all "removed the journal"
  log_files | while IFS= read -r file; do if is_rotated "$file"; then paths "$file"; fi; done |
    remove_all "removed rotated logs"
  log_files | {
    count=0
    while IFS= read -r file; do
      if [ ! -s "$file" ] || kept "$file"; then continue; fi
      : >"$file"
      count=$((count + 1))
    done
    if [ "$count" != 0 ]; then did "emptied logs ($count)"; fi
  }
}
# Services go on while the machine is sealed: a few lines are none of a build's.
lint_logs() {
  paths "$ROOT"/var/log/journal/* | found_all "a journal"
  log_files | while IFS= read -r file; do
    if is_rotated "$file"; then
      found "a rotated log" "$file"
    else
      size=$(wc -c <"$file")
      if [ "$((size))" -gt 32768 ]; then found "a log of $((size)) bytes" "$file"; fi
    fi
  done
}
)SH";

constexpr const char* temporary_files_part = R"SH(
temporary_entries() {
  for directory in "$ROOT/tmp" "$ROOT/var/tmp"; do
    if [ -L "$directory" ]; then continue; fi
    for entry in "$directory"/* "$directory"/.[!.]* "$directory"/..?*; do
      case "${entry##*/}" in
        systemd-private-* | snap-private-tmp | .X*-unix | .ICE-unix | .XIM-unix | .font-unix | .Test-unix) continue ;;
      esac
      if [ -S "$entry" ]; then continue; fi
      case "${entry##*/}" in
        ssh-* | tmux-*) if [ -n "$(find "$entry" -type s 2>/dev/null)" ]; then continue; fi ;;
      esac
      paths "$entry"
    done
  done
}
clean_temporary_files() { temporary_entries | remove_all "removed temporary files"; }
lint_temporary_files() {
  temporary_entries | while IFS= read -r entry; do
    # What lies in memory does not reach the image.
    if live && grep -q -s " ${entry%/*} tmpfs " /proc/mounts; then continue; fi
    found "a temporary file" "$entry"
  done
}
)SH";

constexpr const char* leases_part = R"SH(
clean_leases() { lease_files | remove_all "removed DHCP leases"; }
lint_leases() { lease_files | found_all "a DHCP lease, or another trace of this machine's network"; }
)SH";

constexpr const char* random_seed_part = R"SH(
seed_files() {
  lib="$ROOT/var/lib"
  paths "$lib"/systemd/random-seed "$lib"/systemd/credential.secret "$lib"/urandom/random-seed "$lib"/random-seed \
    "$lib"/misc/random-seed "$lib"/seedrng/* "$ROOT"/etc/random-seed "$ROOT"/boot/loader/random-seed \
    "$ROOT"/boot/efi/loader/random-seed "$ROOT"/efi/loader/random-seed
}
clean_random_seed() {
  # systemd would save a new one when the machine is switched off; until then it is told not to.
  if live && [ -d /run/systemd/system ] && ! kept /var/lib/systemd/random-seed; then
    mkdir -p /run/systemd/system/systemd-random-seed.service.d
    printf '[Service]\nExecStop=\n' >/run/systemd/system/systemd-random-seed.service.d/sealed.conf
    systemctl daemon-reload >/dev/null 2>&1
  fi
  seed_files | remove_all "removed random seeds"
}
lint_random_seed() { seed_files | found_all "a seed of the random number generator"; }
)SH";

constexpr const char* trim_part = R"SH(
clean_trim() {
  if ! live; then return 0; fi
  sync
  if ! command -v fstrim >/dev/null 2>&1; then return 0; fi
  if fstrim -a >/dev/null 2>&1 || fstrim / >/dev/null 2>&1; then did "trimmed the disks"; fi
}
lint_trim() { :; }
)SH";

struct SealPart {
  bool SealConfig::*wanted;
  const char* name;
  const char* text;  ///< defines clean_NAME and lint_NAME
};

/// In the order they run.
constexpr SealPart seal_parts[] = {
    {&SealConfig::cloud_init, "cloud_init", cloud_init_part},
    {&SealConfig::package_caches, "package_caches", package_caches_part},
    {&SealConfig::temporary_files, "temporary_files", temporary_files_part},
    {&SealConfig::leases, "leases", leases_part},
    {&SealConfig::history, "history", history_part},
    {&SealConfig::temporary_keys, "temporary_keys", temporary_keys_part},
    {&SealConfig::host_keys, "host_keys", host_keys_part},
    {&SealConfig::random_seed, "random_seed", random_seed_part},
    {&SealConfig::machine_id, "machine_id", machine_id_part},
    {&SealConfig::logs, "logs", logs_part},
    {&SealConfig::trim, "trim", trim_part},
};

/// The functions kept and holds_kept: whether a path is kept, or something below it.
std::string seal_keep_functions(const std::vector<std::string>& keep) {
  std::string is = "kept() {\n", holds = "holds_kept() {\n";
  for (const auto& path : keep) {
    std::string quoted = shell_quote(path);
    is += fmt::format("  case \"${{1#\"$ROOT\"}}\" in {0} | {0}/*) return 0 ;; esac\n", quoted);
    holds += fmt::format("  case {} in \"${{1#\"$ROOT\"}}\"/*) return 0 ;; esac\n", quoted);
  }
  return is + "  return 1\n}\n" + holds + "  return 1\n}\n";
}

/// The middle of "ssh-ed25519 AAAA... comment": what a line with the key contains, whatever stands around it.
std::string key_material(const std::string& public_key) {
  std::string_view rest = trim(public_key);
  size_t space = rest.find(' ');
  if (space == std::string_view::npos) return "no key of this build";
  rest = rest.substr(space + 1);
  return std::string(rest.substr(0, rest.find(' ')));
}

constexpr const char* become_root = R"SH(
if [ -z "$ROOT" ] && [ "$(id -u)" != 0 ]; then
  if sudo -n true 2>/dev/null; then exec sudo -n /bin/sh "${SELF:-$0}"; fi
  printf 'kiln-seal\trefused\tit must run as root: log in as root, let sudo need no password, or set execute_command\n'
  exit 0
fi
if [ -n "$SELF" ]; then rm -f "$SELF"; fi
)SH";

}  // namespace

std::string seal_script(const SealScript& script) {
  const SealConfig& config = script.config;
  std::string out =
      "#!/bin/sh\n# Makes this machine fit to be an image, and tells what is not.\nLC_ALL=C\nexport LC_ALL\n";
  out += "ROOT=" + shell_quote(script.root) + "\nSELF=" + shell_quote(script.own_path) +
         "\nKEY=" + shell_quote(key_material(script.public_key)) + "\nKEYS_UNIT=" + shell_quote(host_keys_unit_name) +
         "\nKEYS_UNIT_TEXT=" + shell_quote(host_keys_unit_text) + "\nA_HOST_KEY=" +
         shell_quote(config.only_check ? "an ssh host key"
                                       : "an ssh host key: nothing on this machine would make a new one") +
         "\n";
  out += become_root + seal_keep_functions(config.keep) + identity_paths + seal_library;
  std::string cleaning, looking;
  for (const auto& part : seal_parts) {
    if (!(config.*part.wanted)) continue;
    out += part.text;
    cleaning += fmt::format("clean_{}\n", part.name);
    looking += fmt::format("lint_{}\n", part.name);
  }
  out += "\n";
  if (!config.only_check) out += cleaning;
  if (config.check) out += looking;
  return out + "tell end\n";
}

SealReport read_seal_report(std::string_view output) {
  SealReport report;
  for (const auto& line : split(output, '\n')) {
    auto fields = split(std::string_view(line), '\t');
    if (fields.size() < 3 || fields[0] != "kiln-seal") {
      if (!trim(line).empty()) report.notes.emplace_back(trim(line));
    } else if (fields[1] == "done") {
      report.done.push_back(fields[2]);
    } else if (fields[1] == "left" && fields.size() > 3) {
      report.leftovers.push_back({fields[2], fields[3]});
    } else if (fields[1] == "refused") {
      report.refused = fields[2];
    } else if (fields[1] == "end") {
      report.complete = true;
    }
  }
  return report;
}

std::string leftovers_text(const std::vector<SealLeftover>& leftovers) {
  std::string out = fmt::format("the machine is not fit to be an image, {} thing{} left over:", leftovers.size(),
                                leftovers.size() == 1 ? " is" : "s are");
  for (const auto& one : leftovers) out += fmt::format("\n  {}: {}", one.path, one.what);
  return out;
}

}  // namespace kiln
