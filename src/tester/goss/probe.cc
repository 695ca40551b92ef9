#include "tester/goss/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace kiln {

namespace {

// Each piece is shell text for a kind of resource: a function that takes the resource's number and what to look at.
// `m NAME` begins a field. $d is a private directory.

constexpr const char* head_piece = R"(umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
d=$(mktemp -d 2>/dev/null) || { d=/tmp/kiln-goss-$$; mkdir "$d" || exit 71; }
trap 'rm -rf "$d"' EXIT
m() { printf '\n@%s %s\n' "$nonce" "$1"; }
have() { command -v "$1" >/dev/null 2>&1; }
limit=
if timeout -s KILL 5 true 2>/dev/null; then limit='timeout -s KILL'
elif timeout -s KILL -t 5 true 2>/dev/null; then limit='timeout -s KILL -t'
fi
within() { # SECONDS COMMAND...
  if [ -n "$limit" ]; then $limit "$@" </dev/null; return; fi
  s=$1; shift
  "$@" </dev/null & w=$!
  (sleep "$s"; kill -9 $w) >/dev/null 2>&1 & k=$!
  wait $w; r=$?
  kill $k >/dev/null 2>&1
  return $r
}
)";

constexpr const char* file_piece = R"(digest() { # FIELD PROGRAM
  m "$1"
  if "$2" <"$p" >"$d/o" 2>"$d/e"; then read -r w x <"$d/o"; printf %s "$w"
  else m "$1.error"; cat "$d/e"; fi
}
file() { # N PATH WANTED
  p=$2
  case $p in
  '~') p=$HOME ;;
  '~/'*) p=$HOME/${p#??} ;;
  '~'*) u=${p#?}; u=${u%%/*}; h=
    while IFS=: read -r a b c e f g z; do if [ "$a" = "$u" ]; then h=$g; fi; done </etc/passwd
    case $p in */*) p=$h/${p#*/} ;; *) p=$h ;; esac ;;
  esac
  m "$1.exists"
  if [ -e "$p" ] || [ -L "$p" ]; then printf true; else printf false; m "$1.done"; return; fi
  case $3 in *S*)
    if have stat; then m "$1.stat"; stat -c '%f %u %g %s %U %G' "$p" 2>&1
    else m "$1.ls"; ls -ldn "$p" 2>&1; fi ;;
  esac
  case $3 in *L*) m "$1.linked-to"; [ -L "$p" ] && readlink "$p" ;; esac
  case $3 in *C*) m "$1.contents"; cat "$p" 2>"$d/e" || { m "$1.contents.error"; cat "$d/e"; } ;; esac
  case $3 in *1*) digest "$1.md5" md5sum ;; esac
  case $3 in *2*) digest "$1.sha256" sha256sum ;; esac
  case $3 in *5*) digest "$1.sha512" sha512sum ;; esac
  m "$1.done"
}
)";

constexpr const char* package_piece = R"(pm=
if [ -e /etc/redhat-release ] || [ -e /etc/system-release ]; then pm=rpm
elif [ -e /etc/alpine-release ]; then pm=apk
elif [ -e /etc/arch-release ]; then pm=pacman
elif [ -e /etc/debian_version ]; then pm=dpkg
fi
able() { # MANAGER: its real program, not busybox's applet of the name
  case $1 in
  dpkg) have dpkg-query ;;
  rpm) rpm --version 2>/dev/null | grep -q RPM ;;
  *) have "$1" ;;
  esac
}
if ! able "${pm:-none}"; then
  pm=
  for t in dpkg rpm apk pacman; do if able $t; then pm=$t; break; fi; done
fi
package() { # N NAME
  m "$1.$pm"
  case $pm in
  dpkg) dpkg-query -f '${Status} ${Version}\n' -W "$2" 2>/dev/null ;;
  rpm) rpm -q --nosignature --nodigest --qf '%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\n' "$2" >"$d/o" 2>/dev/null && cat "$d/o" ;;
  apk) apk info -e "$2" >/dev/null 2>&1 && apk version "$2" 2>/dev/null ;;
  pacman) pacman -Q --color never "$2" 2>/dev/null ;;
  *) m "$1.error"; printf 'the machine has none of dpkg, rpm, apk and pacman' ;;
  esac
  m "$1.done"
}
)";

constexpr const char* service_piece = R"(service_of() { # N NAME
  if have systemctl; then
    m "$1.enabled"; systemctl -q is-enabled "$2" >/dev/null 2>&1 </dev/null && printf true
    m "$1.running"; systemctl -q is-active "$2" >/dev/null 2>&1 </dev/null && printf true
    m "$1.done"; return
  fi
  m "$1.runlevels"
  if [ -d /etc/runlevels ]; then
    for f in /etc/runlevels/*/"$2"; do if [ -e "$f" ]; then f=${f#/etc/runlevels/}; echo "${f%%/*}"; fi; done
  else
    for f in /etc/rc[0-9]*.d/S[0-9][0-9]"$2"; do
      if [ -e "$f" ]; then f=${f#/etc/rc}; echo "${f%%.d/*}"; fi
    done
  fi
  m "$1.running"
  if have rc-service; then rc-service "$2" status >/dev/null 2>&1 </dev/null && printf true
  elif have service; then service "$2" status >/dev/null 2>&1 </dev/null && printf true
  elif [ -x "/etc/init.d/$2" ]; then "/etc/init.d/$2" status >/dev/null 2>&1 </dev/null && printf true
  fi
  m "$1.done"
}
)";

constexpr const char* process_piece = R"(m processes
for f in /proc/[0-9]*; do
  case ${f#/proc/} in $$ | $PPID) continue ;; esac
  if read -r c 2>/dev/null <"$f/comm"; then printf '%s\n' "$c"; fi
done 2>/dev/null
)";

constexpr const char* command_piece = R"(command_of() { # N SECONDS COMMAND
  b=$(date +%s)
  within "$2" sh -c "$3" >"$d/o" 2>"$d/e"
  r=$?
  if [ $r = 137 ] && [ $(($(date +%s) - b)) -ge "$2" ]; then m "$1.timeout"; fi
  m "$1.exit-status"; printf %s "$r"
  m "$1.stdout"; cat "$d/o"
  m "$1.stderr"; cat "$d/e"
  m "$1.done"
}
)";

constexpr const char* http_piece = R"(http_of() { # N ABLE: the options are in $d/c (curl) and $d/w (arguments of wget); ABLE: what wget cannot do, if anything
  if have curl; then
    m "$1.curl"
    curl -K "$d/c" -o "$d/o" -D "$d/h" -w '%{http_code}' 2>"$d/e" </dev/null
    r=$?
    m "$1.failed"; [ $r = 0 ] || cat "$d/e"
    m "$1.headers"; cat "$d/h" 2>/dev/null
    m "$1.body"; cat "$d/o" 2>/dev/null
  elif have wget && [ -z "$2" ]; then
    m "$1.wget"
    . "$d/w"
    m "$1.body"; cat "$d/o" 2>/dev/null
    m "$1.headers"; cat "$d/e" 2>/dev/null
  else
    m "$1.error"
    if have wget; then printf 'curl is missing in the machine, and its wget cannot do %s' "$2"
    else printf 'neither curl nor wget is in the machine'; fi
  fi
  rm -f "$d/o" "$d/h" "$d/e"
  m "$1.done"
}
)";

constexpr const char* addr_piece = R"(addr() { # N PROTOCOL HOST PORT SECONDS LOCAL
  m "$1.reachable"
  if [ "$2" = udp ]; then printf true; m "$1.done"; return; fi
  if have nc && nc -h 2>&1 | grep -q -e '-z'; then
    if [ -n "$6" ]; then set -- "$1" "$2" "$3" "$4" "$5" "-s $6"; fi
    nc -z -w "$5" $6 "$3" "$4" </dev/null >/dev/null 2>&1 && printf true
  elif have bash; then
    within "$5" bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$3" "$4" >/dev/null 2>&1 && printf true
  elif have curl; then
    curl -s --connect-timeout "$5" -m "$5" "telnet://$3:$4" </dev/null >/dev/null 2>&1
    case $? in 0 | 28 | 49 | 52 | 56) printf true ;; esac
  elif have nc; then
    within "$5" nc -w "$5" "$3" "$4" >/dev/null 2>&1
    case $? in 0 | 137) printf true ;; esac
  else
    m "$1.error"; printf 'the machine has none of nc, bash and curl'
  fi
  m "$1.done"
}
)";

constexpr const char* dns_piece = R"(dns() { # N HOST TYPE SERVER PORT SECONDS
  if [ -z "$4" ]; then
    m "$1.getent"
    if have getent; then getent ahosts "$2" 2>/dev/null || getent hosts "$2" 2>/dev/null
    elif have nslookup; then
      m "$1.hosts"; cat /etc/hosts 2>/dev/null
      m "$1.nslookup"; within "$6" nslookup "$2" 2>&1
    else m "$1.error"; printf 'the machine has neither getent nor nslookup'; fi
  elif have dig; then
    m "$1.dig"
    for t in ${3:-A AAAA}; do
      case $t in PTR) dig +short "+time=$6" +tries=1 -p "$5" "@$4" -x "$2" ;;
      *) dig +short "+time=$6" +tries=1 -p "$5" "@$4" -t "$t" "$2" ;; esac
    done 2>/dev/null
  elif have nslookup && [ "$5" = 53 ]; then
    case $3 in '' | A | AAAA) m "$1.nslookup"; within "$6" nslookup "$2" "$4" 2>&1 ;;
    *) m "$1.error"; printf 'dig is missing in the machine' ;; esac
  else m "$1.error"; printf 'dig is missing in the machine'
  fi
  m "$1.done"
}
)";

constexpr const char* interface_piece = R"(interface() { # N NAME
  m "$1.exists"
  if [ ! -e "/sys/class/net/$2" ]; then m "$1.done"; return; fi
  printf true
  m "$1.mtu"; cat "/sys/class/net/$2/mtu"
  m "$1.addrs"
  if have ip; then ip addr show dev "$2" 2>&1
  elif have ifconfig; then ifconfig "$2" 2>&1
  else m "$1.addrs.error"; printf 'the machine has neither ip nor ifconfig'; fi
  m "$1.done"
}
)";

std::string word(std::string_view text) { return shell_quote(text); }

int64_t whole_seconds(int64_t milliseconds) { return std::max<int64_t>(1, (milliseconds + 999) / 1000); }

bool needs_machine(const GossResource& resource) { return !resource.skip && resource.kind != GossKind::matching; }

bool any_of(const std::vector<GossResource>& resources, GossKind kind) {
  return std::any_of(resources.begin(), resources.end(),
                     [&](const GossResource& one) { return one.kind == kind && needs_machine(one); });
}

std::string heads(const std::vector<GossResource>& resources) {
  static const std::pair<GossKind, const char*> pieces[] = {
      {GossKind::file, file_piece},       {GossKind::package, package_piece}, {GossKind::service, service_piece},
      {GossKind::process, process_piece}, {GossKind::command, command_piece}, {GossKind::http, http_piece},
      {GossKind::addr, addr_piece},       {GossKind::dns, dns_piece},         {GossKind::interface, interface_piece}};
  std::string out = head_piece;
  for (const auto& [kind, piece] : pieces) {
    if (any_of(resources, kind)) out += piece;
  }
  if (any_of(resources, GossKind::user)) out += "m passwd\ncat /etc/passwd\n";
  if (any_of(resources, GossKind::user) || any_of(resources, GossKind::group)) out += "m group\ncat /etc/group\n";
  if (any_of(resources, GossKind::mount)) out += "m mountinfo\ncat /proc/self/mountinfo\n";
  if (any_of(resources, GossKind::port)) {
    for (auto net : {"tcp", "tcp6", "udp", "udp6"}) out += fmt::format("m {0}\ncat /proc/net/{0} 2>/dev/null\n", net);
  }
  return out;
}

std::string wanted_of_file(const GossResource& resource) {
  std::string out;
  for (auto name : {"mode", "owner", "uid", "group", "gid", "filetype", "size"}) {
    if (resource.expectation(name)) out = "S";
  }
  if (resource.expectation("linked-to")) out += "L";
  if (resource.expectation("contents") || resource.expectation("contains")) out += "C";
  if (resource.expectation("md5")) out += "1";
  if (resource.expectation("sha256")) out += "2";
  if (resource.expectation("sha512")) out += "5";
  return out;
}

/// A line of curl's configuration file.
std::string curl_line(const std::string& name, const std::string& value) {
  std::string quoted;
  for (char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  quoted = replace_all(replace_all(quoted, "\n", "\\n"), "\r", "\\r");
  return fmt::format("{} = \"{}\"\n", name, quoted);
}

std::vector<std::string> request_headers(const GossResource& resource) {
  std::vector<std::string> out;
  if (const Value* given = resource.options.find("request-headers")) {
    for (const auto& one : given->as_list()) out.push_back(one.as_string());
  }
  return out;
}

std::string curl_config(const GossResource& resource) {
  std::string out = "silent\nshow-error\ngloboff\n" + curl_line("url", resource.subject);
  out += fmt::format("max-time = {}.{:03}\n", resource.timeout_ms / 1000, resource.timeout_ms % 1000);
  if (resource.flag("allow-insecure")) out += "insecure\n";
  if (!resource.flag("no-follow-redirects")) out += "location\nmax-redirs = 10\n";
  std::string method = resource.option("method");
  if (method == "HEAD") {
    out += "head\n";
  } else if (!method.empty()) {
    out += curl_line("request", method);
  }
  for (const auto& header : request_headers(resource)) out += curl_line("header", header);
  if (std::string body = resource.option("request-body"); !body.empty()) out += curl_line("data-raw", body);
  std::string user = resource.option("username"), password = resource.option("password");
  if (!user.empty() || !password.empty()) out += curl_line("user", user + ":" + password);
  static const std::pair<const char*, const char*> same[] = {
      {"ca-file", "cacert"}, {"cert-file", "cert"}, {"key-file", "key"}, {"proxy", "proxy"}};
  for (auto [ours, theirs] : same) {
    if (std::string value = resource.option(ours); !value.empty()) out += curl_line(theirs, value);
  }
  return out;
}

/// What busybox's wget has no option for.
std::string beyond_wget(const GossResource& resource) {
  std::string method = resource.option("method");
  if (!method.empty() && method != "GET") return "the method " + method;
  if (resource.flag("no-follow-redirects")) return "without following redirects";
  for (auto name : {"username", "password", "request-body", "ca-file", "cert-file", "key-file", "proxy"}) {
    if (!resource.option(name).empty()) return name;
  }
  return "";
}

std::string wget_command(const GossResource& resource) {
  std::string options = fmt::format("-T {}", whole_seconds(resource.timeout_ms));
  if (resource.flag("allow-insecure")) options += " --no-check-certificate";
  for (const auto& header : request_headers(resource)) options += " --header " + word(header);
  return fmt::format(
      "gnu=\nif wget --version 2>/dev/null | grep -q 'GNU Wget'; then gnu='-t 1 --content-on-error --max-redirect=10'; "
      "fi\nwget -S -q $gnu {} -O \"$d/o\" {} 2>\"$d/e\" </dev/null\nprintf %s $?\n",
      options, word(resource.subject));
}

std::string here_document(const std::string& file, const std::string& text, const std::string& nonce) {
  return fmt::format("cat >\"$d/{}\" <<'{}'\n{}{}\n", file, nonce, text, nonce);
}

std::string http_lines(const GossResource& resource, size_t n, const std::string& nonce) {
  return here_document("c", curl_config(resource), nonce) + here_document("w", wget_command(resource), nonce) +
         fmt::format("http_of {} {}\n", n, word(beyond_wget(resource)));
}

std::string addr_line(const GossResource& resource, size_t n) {
  std::string protocol = "tcp", rest = resource.subject;
  if (auto scheme = rest.find("://"); scheme != std::string::npos) {
    protocol = rest.substr(0, scheme);
    rest = rest.substr(scheme + 3);
  }
  auto colon = rest.rfind(':');
  std::string host = rest.substr(0, colon), port = colon == std::string::npos ? "" : rest.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return fmt::format("addr {} {} {} {} {} {}\n", n, word(protocol), word(host), word(port),
                     whole_seconds(resource.timeout_ms), word(resource.option("local-address")));
}

std::string dns_line(const GossResource& resource, size_t n) {
  std::string host = resource.subject, type;
  auto colon = host.find(':');
  bool typed = colon != std::string::npos && colon > 0 &&
               host.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == colon;
  if (typed) {
    type = host.substr(0, colon);
    host = host.substr(colon + 1);
  }
  std::string server = resource.option("server"), port = "53";
  if (std::count(server.begin(), server.end(), ':') == 1) {
    port = server.substr(server.find(':') + 1);
    server = server.substr(0, server.find(':'));
  }
  return fmt::format("dns {} {} {} {} {} {}\n", n, word(host), word(type), word(server), word(port),
                     whole_seconds(resource.timeout_ms));
}

std::string mount_lines(const GossResource& resource, size_t n) {
  if (!resource.expectation("usage")) return fmt::format("m {}.done\n", n);
  return fmt::format("m {0}.usage\nstat -f -c '%b %f' {1} 2>/dev/null\nm {0}.df\ndf -P {1} 2>/dev/null\nm {0}.done\n",
                     n, word(resource.subject));
}

std::string kernel_lines(const GossResource& resource, size_t n) {
  std::string path = "/proc/sys/" + replace_all(resource.subject, ".", "/");
  return fmt::format("m {0}.value\ncat {1} 2>/dev/null || {{ m {0}.error; printf 'could not find the given key'; }}\n"
                     "m {0}.done\n",
                     n, word(path));
}

std::string lines_for(const GossResource& resource, size_t n, const std::string& nonce) {
  std::string subject = word(resource.subject);
  switch (resource.kind) {
    case GossKind::file: return fmt::format("file {} {} {}\n", n, subject, word(wanted_of_file(resource)));
    case GossKind::package: return fmt::format("package {} {}\n", n, subject);
    case GossKind::service: return fmt::format("service_of {} {}\n", n, subject);
    case GossKind::command:
      return fmt::format("command_of {} {} {}\n", n, whole_seconds(resource.timeout_ms), subject);
    case GossKind::http: return http_lines(resource, n, nonce);
    case GossKind::addr: return addr_line(resource, n);
    case GossKind::dns: return dns_line(resource, n);
    case GossKind::interface: return fmt::format("interface {} {}\n", n, subject);
    case GossKind::mount: return mount_lines(resource, n);
    case GossKind::kernel_param: return kernel_lines(resource, n);
    default: return fmt::format("m {}.done\n", n);
  }
}

}  // namespace

std::string goss_script(const std::vector<GossResource>& resources, const std::string& nonce) {
  std::string out = "nonce=" + nonce + "\n" + heads(resources);
  for (size_t i = 0; i < resources.size(); ++i) {
    if (needs_machine(resources[i])) out += lines_for(resources[i], i, nonce);
  }
  return out + "m end\n";
}

int64_t goss_script_budget_ms(const std::vector<GossResource>& resources) {
  int64_t sum = 120'000;
  for (const auto& resource : resources) sum += 1000 * whole_seconds(resource.timeout_ms) + 10'000;
  return sum;
}

GossAnswers::GossAnswers(std::string nonce, std::function<void(size_t, const GossRecord&)> done)
    : mark_("\n@" + std::move(nonce) + " "), done_(std::move(done)) {}

void GossAnswers::feed(std::string_view bytes) {
  pending_ += bytes;
  while (true) {
    size_t at = pending_.find(mark_, searched_);
    searched_ = at != std::string::npos ? at : pending_.size() < mark_.size() ? 0 : pending_.size() - mark_.size();
    if (at == std::string::npos) return;
    size_t end = pending_.find('\n', at + mark_.size());
    if (end == std::string::npos) return;
    std::string text = pending_.substr(0, at);
    std::string name = pending_.substr(at + mark_.size(), end - at - mark_.size());
    if (!field_.empty()) {
      auto dot = field_.find('.');
      if (dot == std::string::npos) {
        machine_[field_] = std::move(text);
      } else {
        record_[field_.substr(dot + 1)] = std::move(text);
      }
    }
    field_ = name;
    pending_.erase(0, end + 1);
    searched_ = 0;
    begin_field();
  }
}

/// A field that is a mark alone: a record's end, the answer's end.
void GossAnswers::begin_field() {
  if (field_ == "end") complete_ = true;
  if (!field_.ends_with(".done")) return;
  size_t index = 0;
  auto [end, problem] = std::from_chars(field_.data(), field_.data() + field_.size(), index);
  (void)end;
  if (problem == std::errc()) done_(index, record_);
  record_.clear();
  field_.clear();
}

}  // namespace kiln
