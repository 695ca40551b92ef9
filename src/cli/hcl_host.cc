#include "cli/hcl_host.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/secret_store.h"

namespace kiln {

namespace {

/// "-rw-r--r--", as Go prints the mode of a file; "" where nothing is.
std::string mode_of_file(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return "";
    throw Error(ErrorKind::user, fmt::format("stat {}: {}", path, go_errno_text(errno)));
  }
  mode_t mode = status.st_mode;
  std::string out = S_ISDIR(mode)    ? "d"
                    : S_ISREG(mode)  ? "-"
                    : S_ISFIFO(mode) ? "p"
                    : S_ISSOCK(mode) ? "S"
                    : S_ISCHR(mode)  ? "Dc"
                                     : "D";
  constexpr std::string_view letters = "rwxrwxrwx";
  for (size_t i = 0; i < letters.size(); ++i) out += (mode >> (8 - i)) & 1 ? letters[i] : '-';
  return out;
}

std::vector<std::string> files_below(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code ignored;
  for (auto it = fs::recursive_directory_iterator(directory, fs::directory_options::skip_permission_denied, ignored);
       it != fs::recursive_directory_iterator(); it.increment(ignored)) {
    if (it->is_regular_file(ignored)) out.push_back(it->path().lexically_relative(directory).string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

void fill_random(void* bytes, size_t size) {
  std::string random = random_bytes(size);
  std::memcpy(bytes, random.data(), size);
}

}  // namespace

HclHost make_hcl_host(const std::string& base_directory) {
  HclHost host;
  host.base_directory = base_directory;
  host.working_directory = fs::current_path().string();
  host.home = get_env("HOME").value_or("");
  host.started = std::chrono::system_clock::now();
  host.now = [] { return std::chrono::system_clock::now(); };
  host.read_file = [](const std::string& path) { return read_file(path); };
  host.stat = mode_of_file;
  host.list_files = files_below;
  host.random = fill_random;
  host.env = [](const std::string& name) { return get_env(name.c_str()); };
  return host;
}

std::function<std::string(const std::string&, const std::vector<std::string>&)> secret_reader(Redactor& redactor) {
  return [&redactor](const std::string& function, const std::vector<std::string>& arguments) {
    std::string secret = secret_function(function, arguments);
    redactor.add(secret);
    return secret;
  };
}

void stop_time(HclHost& host) {
  host.started = {};
  host.now = [] { return std::chrono::system_clock::time_point{}; };
  host.random = [](void* bytes, size_t size) { std::memset(bytes, 0, size); };
}

}  // namespace kiln
