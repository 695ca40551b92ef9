#include "tester/goss/verdict.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/text.h"
#include "tester/goss/matcher.h"

namespace kiln {

namespace {

GossFound found_value(Value value) { return {std::move(value), false, ""}; }
GossFound found_error(std::string error) {
  return {{}, false, error.empty() ? "it could not be told" : std::move(error)};
}

std::string field(const GossRecord& record, const std::string& name) {
  auto found = record.find(name);
  return found == record.end() ? "" : found->second;
}
bool says_true(const GossRecord& record, const std::string& name) { return trim(field(record, name)) == "true"; }

Value number_value(const std::string& digits) { return Value(Number{std::string(trim(digits))}); }
Value list_value(const std::vector<std::string>& items) {
  Value::List out;
  for (const auto& item : items) out.emplace_back(item);
  return Value(std::move(out));
}

std::vector<std::string> words(const std::string& line) {
  std::vector<std::string> out;
  for (auto& one : split(replace_all(line, "\t", " "), ' ')) {
    if (!one.empty()) out.push_back(std::move(one));
  }
  return out;
}

std::vector<std::string> full_lines(const std::string& text) {
  std::vector<std::string> out;
  for (auto& line : split(text, '\n')) {
    if (!trim(line).empty()) out.emplace_back(trim_right(line));
  }
  return out;
}

// --- file ---

struct FileState {
  int mode = -1;
  std::string type, uid, gid, size, owner, group;
};

const char* type_of_mode(unsigned long mode) {
  switch (mode & 0170000) {
    case 0120000: return "symlink";
    case 0040000: return "directory";
    case 0020000: return "character-device";
    case 0060000: return "block-device";
    case 0010000: return "pipe";
    case 0140000: return "socket";
    default: return "file";
  }
}

/// "%f %u %g %s %U %G" of stat.
std::optional<FileState> parse_stat(const std::string& text) {
  auto parts = words(std::string(trim(text)));
  if (parts.size() < 6 || parts[0].find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) return std::nullopt;
  unsigned long mode = std::strtoul(parts[0].c_str(), nullptr, 16);
  return FileState{static_cast<int>(mode & 07777), type_of_mode(mode), parts[1], parts[2], parts[3], parts[4], parts[5]};
}

/// "drwxr-xr-x": the mode's bits.
int mode_of_letters(const std::string& letters) {
  int mode = 0;
  for (int i = 0; i < 9; ++i) {
    char c = letters[static_cast<size_t>(i) + 1];
    if (c != '-' && c != 'S' && c != 'T') mode |= 0400 >> i;
    bool special = c == 's' || c == 'S' || c == 't' || c == 'T';
    if (special) mode |= i == 2 ? 04000 : i == 5 ? 02000 : 01000;
  }
  return mode;
}

/// A line of `ls -ldn`, where there is no stat: owner and group stay numbers.
std::optional<FileState> parse_ls(const std::string& text) {
  auto parts = words(std::string(trim(text)));
  if (parts.size() < 5 || parts[0].size() < 10) return std::nullopt;
  static const std::map<char, const char*> types{{'d', "directory"},    {'l', "symlink"}, {'c', "character-device"},
                                                 {'b', "block-device"}, {'p', "pipe"},    {'s', "socket"}};
  auto type = types.find(parts[0][0]);
  return FileState{mode_of_letters(parts[0]), type == types.end() ? "file" : type->second, parts[2], parts[3], parts[4],
                   parts[2], parts[3]};
}

GossFound find_in_file(const std::string& attribute, const GossRecord& record) {
  if (attribute == "exists") return found_value(Value(says_true(record, "exists")));
  if (!says_true(record, "exists")) return found_error("there is no such file");
  std::string name = attribute == "contains" ? "contents" : attribute;
  if (auto error = record.find(name + ".error"); error != record.end()) return found_error(std::string(trim(error->second)));
  if (name == "contents") return {Value(field(record, name)), true, ""};
  if (name == "md5" || name.starts_with("sha")) {
    std::string digest = field(record, name);
    return found_value(Value(digest.starts_with('\\') ? digest.substr(1) : digest));
  }
  if (name == "linked-to") {
    std::string target = field(record, name);
    return target.empty() ? found_error("it is no link") : found_value(Value(std::string(trim_right(target))));
  }
  auto state = record.count("stat") ? parse_stat(field(record, "stat")) : parse_ls(field(record, "ls"));
  if (!state) return found_error(std::string(trim(field(record, "stat") + field(record, "ls"))));
  if (name == "mode") return found_value(Value(fmt::format("{:04o}", state->mode)));
  if (name == "filetype") return found_value(Value(state->type));
  if (name == "size") return found_value(number_value(state->size));
  if (name == "uid" || name == "gid") return found_value(number_value(name == "uid" ? state->uid : state->gid));
  return found_value(Value(name == "owner" ? state->owner : state->group));
}

// --- package, service, process ---

std::vector<std::string> installed_versions(const GossResource& resource, const GossRecord& record) {
  std::vector<std::string> out;
  for (const auto& line : full_lines(field(record, "dpkg"))) {
    auto parts = words(line);
    bool good = parts.size() >= 4 && (parts[0] == "install" || parts[0] == "hold") && parts[1] == "ok" && parts[2] == "installed";
    if (good) out.push_back(parts[3]);
  }
  for (const auto& line : full_lines(field(record, "rpm"))) out.push_back(line);
  for (const auto& line : full_lines(field(record, "apk"))) {
    std::string prefix = resource.subject + "-";
    std::string first = words(line).front();
    if (first.starts_with(prefix)) out.push_back(first.substr(prefix.size()));
  }
  for (const auto& line : full_lines(field(record, "pacman"))) {
    auto parts = words(line);
    if (parts.size() > 1) out.push_back(parts[1]);
  }
  return out;
}

GossFound find_in_package(const GossResource& resource, const std::string& attribute, const GossRecord& record) {
  if (auto error = record.find("error"); error != record.end()) return found_error(error->second);
  auto versions = installed_versions(resource, record);
  if (attribute == "installed") return found_value(Value(!versions.empty()));
  return versions.empty() ? found_error("Package version not found") : found_value(list_value(versions));
}

GossFound find_in_service(const GossResource& resource, const std::string& attribute, const GossRecord& record) {
  bool wrong = contains(resource.subject, "/");
  if (attribute == "runlevels") return found_value(list_value(full_lines(field(record, "runlevels"))));
  if (attribute == "running") return found_value(Value(!wrong && says_true(record, "running")));
  bool by_runlevel = !full_lines(field(record, "runlevels")).empty();
  return found_value(Value(!wrong && (says_true(record, "enabled") || by_runlevel)));
}

GossFound find_process(const GossResource& resource, const GossRecord& machine) {
  auto names = full_lines(field(machine, "processes"));
  return found_value(Value(std::find(names.begin(), names.end(), resource.subject) != names.end()));
}

// --- port ---

std::optional<std::string> address_of_hex(const std::string& hex) {
  if (hex.size() != 8 && hex.size() != 32) return std::nullopt;
  unsigned char bytes[16];
  for (size_t i = 0; i < hex.size() / 2; ++i) {
    auto digit = hex.substr(i * 2, 2);
    if (digit.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) return std::nullopt;
    bytes[(i & ~size_t{3}) + 3 - (i & 3)] = static_cast<unsigned char>(std::strtoul(digit.c_str(), nullptr, 16));
  }
  char text[INET6_ADDRSTRLEN];
  if (inet_ntop(hex.size() == 8 ? AF_INET : AF_INET6, bytes, text, sizeof text) == nullptr) return std::nullopt;
  std::string shown = text;
  return shown.starts_with("::ffff:") && contains(shown, ".") ? shown.substr(7) : shown;
}

/// The addresses of /proc/net/{tcp,tcp6,udp,udp6} that listen on a port.
std::vector<std::string> listening_addresses(const std::string& subject, const GossRecord& machine) {
  auto colon = subject.find(':');
  std::string net = colon == std::string::npos ? "tcp" : subject.substr(0, colon);
  std::string port = colon == std::string::npos ? subject : subject.substr(colon + 1);
  std::vector<std::string> out;
  for (const auto& line : full_lines(field(machine, net))) {
    auto parts = words(line);
    if (parts.size() < 4 || !contains(parts[1], ":")) continue;
    if (net.starts_with("tcp") && parts[3] != "0A") continue;
    auto split_at = parts[1].find(':');
    if (std::to_string(std::strtoul(parts[1].substr(split_at + 1).c_str(), nullptr, 16)) != port) continue;
    if (auto address = address_of_hex(parts[1].substr(0, split_at))) out.push_back(*address);
  }
  return out;
}

GossFound find_port(const GossResource& resource, const std::string& attribute, const GossRecord& machine) {
  auto addresses = listening_addresses(resource.subject, machine);
  if (attribute == "listening") return found_value(Value(!addresses.empty()));
  return found_value(list_value(addresses));
}

// --- user, group ---

std::optional<std::vector<std::string>> account_line(const std::string& text, const std::string& name, size_t fields) {
  for (const auto& line : split(text, '\n')) {
    auto parts = split(line, ':');
    if (parts.size() >= fields && parts[0] == name) return parts;
  }
  return std::nullopt;
}

std::vector<std::string> groups_of(const std::string& user, const std::string& gid, const std::string& text) {
  std::set<std::string> out;
  for (const auto& line : split(text, '\n')) {
    auto parts = split(line, ':');
    if (parts.size() != 4) continue;
    auto members = split(parts[3], ',');
    if (parts[2] == gid || std::find(members.begin(), members.end(), user) != members.end()) out.insert(parts[0]);
  }
  return {out.begin(), out.end()};
}

GossFound find_user(const GossResource& resource, const std::string& attribute, const GossRecord& machine) {
  auto line = account_line(field(machine, "passwd"), resource.subject, 7);
  if (attribute == "exists") return found_value(Value(line.has_value()));
  if (!line) return found_error("there is no such user");
  if (attribute == "uid") return found_value(number_value((*line)[2]));
  if (attribute == "gid") return found_value(number_value((*line)[3]));
  if (attribute == "home") return found_value(Value((*line)[5]));
  if (attribute == "shell") return found_value(Value((*line)[6]));
  return found_value(list_value(groups_of(resource.subject, (*line)[3], field(machine, "group"))));
}

GossFound find_group(const GossResource& resource, const std::string& attribute, const GossRecord& machine) {
  auto line = account_line(field(machine, "group"), resource.subject, 3);
  if (attribute == "exists") return found_value(Value(line.has_value()));
  return line ? found_value(number_value((*line)[2])) : found_error("there is no such group");
}

// --- command, http ---

GossFound find_in_command(const GossResource& resource, const std::string& attribute, const GossRecord& record) {
  if (record.count("timeout")) {
    return found_error(fmt::format("Command execution timed out ({})",
                                   format_go_duration(std::chrono::milliseconds(resource.timeout_ms))));
  }
  if (attribute == "exit-status") return found_value(number_value(field(record, attribute)));
  return {Value(field(record, attribute)), true, ""};
}

/// Go's form of a header's name: "content-type" is "Content-Type".
std::string canonical_header(std::string name) {
  bool first = true;
  for (char& c : name) {
    c = static_cast<char>(first ? std::toupper(static_cast<unsigned char>(c)) : std::tolower(static_cast<unsigned char>(c)));
    first = c == '-';
  }
  return name;
}

/// The headers of the last answer (redirections have their own), sorted as goss shows them.
std::string last_headers(const std::string& text) {
  std::vector<std::string> out;
  for (const auto& raw : split(text, '\n')) {
    std::string line(trim(raw));
    if (line.starts_with("HTTP/")) out.clear();
    auto colon = line.find(": ");
    if (colon != std::string::npos) out.push_back(canonical_header(line.substr(0, colon)) + line.substr(colon));
  }
  std::sort(out.begin(), out.end());
  return join(out, "\n");
}

/// The status of the last answer among what wget -S says.
std::string wget_status(const std::string& text) {
  std::string status;
  for (const auto& line : split(text, '\n')) {
    auto at = line.find("HTTP/");
    if (at == std::string::npos) continue;
    auto parts = words(line.substr(at));
    if (parts.size() > 1 && parts[1].find_first_not_of("0123456789") == std::string::npos) status = parts[1];
  }
  return status;
}

GossFound find_in_http(const std::string& attribute, const GossRecord& record) {
  if (auto error = record.find("error"); error != record.end()) return found_error(error->second);
  std::string status = std::string(trim(field(record, "curl")));
  std::string failure = std::string(trim(field(record, "failed")));
  if (record.count("wget")) {
    status = wget_status(field(record, "headers"));
    if (status.empty() && trim(field(record, "wget")) == "0") status = "200";
    if (status.empty()) failure = std::string(trim(field(record, "headers")));
  }
  if (!failure.empty()) return found_error(failure);
  if (attribute == "status") return found_value(number_value(status));
  if (attribute == "headers") return {Value(last_headers(field(record, "headers"))), true, ""};
  return {Value(field(record, "body")), true, ""};
}

// --- mount ---

std::string unescape_octal(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    bool octal = text[i] == '\\' && i + 3 < text.size() && text.substr(i + 1, 3).find_first_not_of("01234567") == std::string::npos;
    if (!octal) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(std::strtoul(text.substr(i + 1, 3).c_str(), nullptr, 8));
    i += 3;
  }
  return out;
}

struct MountState {
  std::vector<std::string> options, super_options;
  std::string source, type;
};

std::vector<std::string> unique_options(const std::string& text) {
  std::vector<std::string> out;
  for (const auto& one : split(text, ',')) {
    if (!one.empty() && std::find(out.begin(), out.end(), one) == out.end()) out.push_back(one);
  }
  return out;
}

std::optional<MountState> mount_at(const std::string& path, const std::string& mountinfo) {
  for (const auto& line : split(mountinfo, '\n')) {
    auto parts = split(line, ' ');
    auto dash = std::find(parts.begin(), parts.end(), "-");
    if (parts.size() < 10 || parts.end() - dash < 4 || unescape_octal(parts[4]) != path) continue;
    return MountState{unique_options(parts[5]), unique_options(*(dash + 3)), unescape_octal(*(dash + 2)), *(dash + 1)};
  }
  return std::nullopt;
}

GossFound mount_usage(const GossRecord& record) {
  auto blocks = words(std::string(trim(field(record, "usage"))));
  if (blocks.size() == 2) {
    double all = std::strtod(blocks[0].c_str(), nullptr), free = std::strtod(blocks[1].c_str(), nullptr);
    return found_value(Value(all > 0 ? static_cast<int64_t>(std::llround((1 - free / all) * 100)) : int64_t{0}));
  }
  auto lines = full_lines(field(record, "df"));
  auto parts = lines.empty() ? std::vector<std::string>{} : words(lines.back());
  if (parts.size() < 5 || !parts[4].ends_with('%')) return found_error("its usage is unknown");
  return found_value(number_value(parts[4].substr(0, parts[4].size() - 1)));
}

GossFound find_mount(const GossResource& resource, const std::string& attribute, const GossRecord& record,
                     const GossRecord& machine) {
  auto state = mount_at(resource.subject, field(machine, "mountinfo"));
  if (attribute == "exists") return found_value(Value(state.has_value()));
  if (!state) return found_error("Mountpoint not found");
  if (attribute == "opts") return found_value(list_value(state->options));
  if (attribute == "vfs-opts") return found_value(list_value(state->super_options));
  if (attribute == "source") return found_value(Value(state->source));
  if (attribute == "filesystem") return found_value(Value(state->type));
  return mount_usage(record);
}

// --- dns, interface ---

bool is_address(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 || inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

std::vector<std::string> nslookup_addresses(const std::string& text) {
  std::vector<std::string> out;
  bool answers = false;
  for (const auto& line : split(text, '\n')) {
    if (line.starts_with("Name:")) answers = true;
    auto parts = words(line);
    if (!answers || parts.size() < 2 || !parts[0].starts_with("Address")) continue;
    for (const auto& part : parts) {
      if (is_address(part)) out.push_back(part);
    }
  }
  return out;
}

/// What /etc/hosts says of a name.
std::vector<std::string> hosts_addresses(const std::string& text, const std::string& name) {
  std::vector<std::string> out;
  for (const auto& line : split(text, '\n')) {
    auto parts = words(line.substr(0, line.find('#')));
    if (parts.size() > 1 && std::find(parts.begin() + 1, parts.end(), name) != parts.end()) out.push_back(parts[0]);
  }
  return out;
}

std::vector<std::string> resolved_addresses(const GossResource& resource, const GossRecord& record) {
  std::set<std::string> out;
  if (is_address(resource.subject) && !record.count("dig")) out.insert(resource.subject);
  for (const auto& line : full_lines(field(record, "getent"))) out.insert(words(line).front());
  for (const auto& address : hosts_addresses(field(record, "hosts"), resource.subject)) out.insert(address);
  // nslookup asks servers alone; the file comes first.
  if (out.empty()) {
    for (const auto& address : nslookup_addresses(field(record, "nslookup"))) out.insert(address);
  }
  for (const auto& line : full_lines(field(record, "dig"))) {
    if (!line.starts_with(';')) out.insert(line);
  }
  return {out.begin(), out.end()};
}

GossFound find_dns(const GossResource& resource, const std::string& attribute, const GossRecord& record) {
  if (auto error = record.find("error"); error != record.end()) return found_error(error->second);
  auto addresses = resolved_addresses(resource, record);
  if (attribute == "resolvable") return found_value(Value(!addresses.empty()));
  return found_value(list_value(addresses));
}

int bits_of_mask(const std::string& mask) {
  in_addr address{};
  if (inet_pton(AF_INET, mask.c_str(), &address) != 1) return 32;
  return __builtin_popcount(address.s_addr);
}

/// Out of `ip addr show` or `ifconfig`, each with its prefix length.
std::vector<std::string> interface_addresses(const std::string& text) {
  std::vector<std::string> out;
  for (const auto& line : split(text, '\n')) {
    auto parts = words(line);
    if (parts.size() < 2 || (parts[0] != "inet" && parts[0] != "inet6")) continue;
    std::string address = parts[1] == "addr:" && parts.size() > 2 ? parts[2] : parts[1];
    if (address.starts_with("addr:")) address = address.substr(5);
    if (!contains(address, "/")) {
      std::string prefix = parts[0] == "inet" ? "32" : "128";
      for (size_t i = 2; i < parts.size(); ++i) {
        if (parts[i].starts_with("Mask:")) prefix = std::to_string(bits_of_mask(parts[i].substr(5)));
        if (parts[i - 1] == "netmask") prefix = std::to_string(bits_of_mask(parts[i]));
        if (parts[i - 1] == "prefixlen") prefix = parts[i];
      }
      address += "/" + prefix;
    }
    out.push_back(address);
  }
  return out;
}

GossFound find_interface(const std::string& attribute, const GossRecord& record) {
  if (attribute == "exists") return found_value(Value(says_true(record, "exists")));
  if (auto error = record.find(attribute + ".error"); error != record.end()) return found_error(error->second);
  if (attribute == "mtu") return found_value(number_value(field(record, "mtu")));
  return found_value(list_value(interface_addresses(field(record, "addrs"))));
}

GossFound find_matching(const GossResource& resource) {
  const Value* content = resource.options.find("content");
  if (!resource.flag("as-reader")) return found_value(content == nullptr ? Value() : *content);
  return {Value(resource.option("content")), true, ""};
}

// --- judging ---

/// Much of what is found is text of any length: its end is what a person looks at.
std::string shortened(const std::string& text) {
  constexpr size_t most = 2000;
  return text.size() <= most ? text : "..." + text.substr(text.size() - most);
}

std::string place_of(const SourceRange& range) {
  return range.known() ? fmt::format("{}:{}", range.file->name, line_column(range).line) : "";
}

GossMatch compare(const Value& expected, const GossFound& found) {
  if (!found.error.empty()) return {false, found.error, ""};
  if (found.text && expected.is_list()) return match_goss_patterns(expected.as_list(), found.value.as_string());
  return match_goss(expected, found.value);
}

void explain(const GossExpectation& expectation, const GossFound& found, const GossMatch& match, CheckResult& result) {
  result.expected = goss_shown(expectation.expected);
  if (found.error.empty()) result.found = shortened(goss_shown(found.value));
  result.message = match.error;
  if (!match.missing.empty()) result.message = "not found: " + match.missing;
}

bool depends_on_first(GossKind kind) {
  return kind != GossKind::service && kind != GossKind::command;
}

}  // namespace

GossFound find_goss_attribute(const GossResource& resource, const std::string& attribute, const GossRecord& record,
                              const GossRecord& machine) {
  switch (resource.kind) {
    case GossKind::file: return find_in_file(attribute, record);
    case GossKind::package: return find_in_package(resource, attribute, record);
    case GossKind::service: return find_in_service(resource, attribute, record);
    case GossKind::process: return find_process(resource, machine);
    case GossKind::port: return find_port(resource, attribute, machine);
    case GossKind::user: return find_user(resource, attribute, machine);
    case GossKind::group: return find_group(resource, attribute, machine);
    case GossKind::command: return find_in_command(resource, attribute, record);
    case GossKind::http: return find_in_http(attribute, record);
    case GossKind::mount: return find_mount(resource, attribute, record, machine);
    case GossKind::dns: return find_dns(resource, attribute, record);
    case GossKind::interface: return find_interface(attribute, record);
    case GossKind::matching: return find_matching(resource);
    case GossKind::addr:
      if (record.count("error")) return found_error(field(record, "error"));
      return found_value(Value(says_true(record, "reachable")));
    case GossKind::kernel_param:
      if (record.count("error")) return found_error(field(record, "error"));
      return found_value(Value(std::string(trim(field(record, "value")))));
  }
  return found_error("");
}

std::vector<CheckResult> judge_goss(const GossResource& resource, const GossRecord& record, const GossRecord& machine) {
  std::vector<CheckResult> out;
  std::string skipped = resource.skip ? "skip: true" : "";
  for (const auto& expectation : resource.expectations) {
    CheckResult result;
    result.group = resource.label + " " + resource.id;
    result.name = expectation.attribute;
    result.place = place_of(expectation.expected.range.known() ? expectation.expected.range : resource.range);
    if (!skipped.empty()) {
      result.status = CheckStatus::skipped;
      result.message = skipped;
      out.push_back(std::move(result));
      continue;
    }
    GossFound found = find_goss_attribute(resource, expectation.attribute, record, machine);
    GossMatch match = compare(expectation.expected, found);
    if (!match.matched) {
      result.status = CheckStatus::failed;
      explain(expectation, found, match, result);
      if (!resource.title.empty()) result.message = resource.title + (result.message.empty() ? "" : ": ") + result.message;
    }
    bool first_of_all = out.empty() && depends_on_first(resource.kind);
    if (first_of_all && (!match.matched || found.value == Value(false))) {
      skipped = fmt::format("{} is {}", expectation.attribute, match.matched ? "false" : "not as expected");
    }
    out.push_back(std::move(result));
  }
  return out;
}

}  // namespace kiln
