#include "tester/serverspec/serverspec.h"

#include <fmt/format.h>

#include <deque>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "kit/guest_errand.h"
#include "kit/guest_script.h"
#include "kit/journaled_run.h"
#include "tester/serverspec/results.h"
#include "tester/serverspec/ruby.h"

namespace kiln {

namespace {

struct ServerspecConfig {
  std::string directory;
  std::vector<std::string> specs;
  std::string run_in;
  std::vector<std::string> environment_vars;
  std::map<std::string, std::string> env;
  std::vector<std::string> rspec_options;
  bool sudo = true;
  std::string sudo_password;
  ErrandConfig errand;  ///< in the machine
};

void add_where_options(OptionTable<ServerspecConfig>& table) {
  using Config = ServerspecConfig;
  table.add(
      &Config::directory,
      {.name = "directory",
       .default_text = "the working directory",
       .doc = "Where rspec runs: the directory that has spec/. To run in the machine it is sent as a whole; "
              "without it, only spec/ (or what the specs' paths begin with) is.",
       .reads = true});
  table.add(&Config::specs, {.name = "specs",
                             .default_text = "spec, or all of the directory",
                             .doc = "Files, directories and patterns of specs, relative to the directory.",
                             .reads = true});
  table.add(
      &Config::run_in,
      {.name = "run_in",
       .default_text = "host if the machine is reached by SSH and rspec is here, else guest",
       .doc = "Where rspec runs. \"host\": here, and serverspec asks the machine by SSH; nothing needs to be "
              "installed in it. \"guest\": in the machine, which has rspec and serverspec."});
}

const OptionTable<ServerspecConfig>& serverspec_options() {
  using Config = ServerspecConfig;
  static const OptionTable<Config> table = [] {
    OptionTable<Config> made;
    add_where_options(made);
    made.add(&Config::environment_vars,
             {.name = "environment_vars", .doc = "Variables that rspec gets, as a list of \"key=value\"."});
    made.add(&Config::env, {.name = "env", .doc = "Variables as a map; they win over environment_vars."});
    made.add(&Config::rspec_options,
             {.name = "rspec_options", .doc = "More arguments for rspec, as [\"--tag\", \"web\"]."});
    made.add(&Config::sudo,
             {.name = "sudo",
              .default_text = "true",
              .doc = "On the host: whether serverspec uses sudo in the machine when the user is not "
                     "root. In the machine execute_command says as whom rspec runs."});
    made.add(&Config::sudo_password, {.name = "sudo_password",
                                      .default_text = "the machine's password",
                                      .doc = "What sudo is told when it asks.",
                                      .secret = true});
    made.include(&Config::errand, errand_options());
    return made;
  }();
  return table;
}

std::string data_text(const Value& data, const char* key) {
  const Value* found = data.find(key);
  if (found == nullptr) return "";
  std::string text = found->is_string()                     ? found->as_string()
                     : found->kind() == Value::Kind::number ? found->as_number().text
                                                            : "";
  return is_known_build_value(text) ? text : "";
}

/// The end of what rspec said besides results, for when it comes to nothing.
struct Remarks {
  std::deque<std::string> lines;
  void add(std::string_view line) {
    lines.emplace_back(trim_right(line));
    if (lines.size() > 30) lines.pop_front();
  }
  std::string text() const { return join({lines.begin(), lines.end()}, "\n"); }
};

class ServerspecTester : public Tester {
 public:
  void prepare(const PrepareInput& input) override;
  TestReport run(const TestTarget& target, StageContext& context) override;
  std::vector<std::string> reads() const override;

 private:
  bool on_host(const TestTarget& target) const;
  std::vector<std::string> spec_arguments() const;
  std::vector<std::string> beginnings() const;
  void send_specs(Communicator& communicator, const std::string& remote, const Deadline& deadline,
                  StageContext& context) const;
  std::vector<std::string> rspec_arguments(const std::string& directory) const;
  std::map<std::string, std::string> variables(const std::string& nonce) const;
  int run_on_host(const TestTarget& target, std::map<std::string, std::string> env, LineSplitter& out,
                  LineSplitter& err, StageContext& context) const;
  int run_in_guest(Communicator& communicator, std::map<std::string, std::string> env, LineSplitter& out,
                   LineSplitter& err, StageContext& context) const;
  void require_rspec(Communicator& communicator, StageContext& context) const;

  ServerspecConfig config_;
};

void ServerspecTester::prepare(const PrepareInput& input) {
  config_ = {};
  DecodeContext decode = input.decode("tester serverspec");
  serverspec_options().decode(input.config, config_, decode);
  check_errand(config_.errand, input);
  auto place = [&](const char* key) {
    const Value* value = input.config.find(key);
    return value != nullptr ? value->range : input.config.range;
  };
  check_environment_vars(config_.environment_vars, place("environment_vars"), input.diagnostics);
  if (!config_.run_in.empty() && config_.run_in != "host" && config_.run_in != "guest") {
    input.diagnostics.error(fmt::format("run_in is \"host\" or \"guest\", not \"{}\"", config_.run_in), "",
                            place("run_in"));
  }
  if (config_.run_in == "host" && !find_program("rspec")) {
    input.diagnostics.error("rspec is not on this host (Debian: ruby-serverspec and ruby-rspec)", "",
                            place("run_in"));
  }
  std::error_code error;
  if (!config_.directory.empty() && !fs::is_directory(config_.directory, error)) {
    input.diagnostics.error(fmt::format("The directory of specs {} is not there", config_.directory), "",
                            place("directory"));
    return;
  }
  for (const auto& spec : config_.specs) {
    if (!glob((fs::path(config_.directory) / spec).string()).empty()) continue;
    input.diagnostics.error(fmt::format("No spec matches {}", spec), "", place("specs"));
  }
  if (config_.directory.empty() && config_.specs.empty() && !fs::is_directory("spec", error)) {
    input.diagnostics.error("There is no directory spec here; \"directory\" says where it is", "",
                            input.config.range);
  }
}

/// Relative to the directory; patterns are expanded here, so that they mean the same in the machine.
std::vector<std::string> ServerspecTester::spec_arguments() const {
  fs::path directory = config_.directory;
  std::vector<std::string> out;
  for (const auto& spec : config_.specs) {
    for (const auto& path : glob((directory / spec).string())) {
      out.push_back(directory.empty() ? path.string() : path.lexically_relative(directory).string());
    }
  }
  std::error_code error;
  if (out.empty()) out.push_back(fs::is_directory(directory / "spec", error) ? "spec" : ".");
  return out;
}

std::vector<std::string> ServerspecTester::rspec_arguments(const std::string& directory) const {
  std::vector<std::string> out{
      "-r", directory + "/kiln_formatter.rb", "-r", directory + "/kiln_preamble.rb", "-I", "."};
  auto specs = spec_arguments();
  std::set<std::string> beside;  // a spec_helper next to its specs
  for (const auto& spec : specs) beside.insert(fs::path(spec).parent_path().string());
  for (const auto& path : beside) {
    if (!path.empty()) out.insert(out.end(), {"-I", path});
  }
  out.insert(out.end(), {"--format", "KilnFormatter", "--no-color"});
  out.insert(out.end(), config_.rspec_options.begin(), config_.rspec_options.end());
  out.insert(out.end(), specs.begin(), specs.end());
  return out;
}

std::map<std::string, std::string> ServerspecTester::variables(const std::string& nonce) const {
  std::map<std::string, std::string> out;
  add_environment_vars(config_.environment_vars, out);
  for (const auto& [key, value] : config_.env) out[key] = value;
  out["KILN_NONCE"] = nonce;
  return out;
}

/// With `directory` all of that counts, as an option that is read.
std::vector<std::string> ServerspecTester::reads() const {
  return config_.directory.empty() ? beginnings() : std::vector<std::string>{};
}

/// Without `directory`: the first part of every spec's path, `spec` as a rule. Helpers lie there, too.
std::vector<std::string> ServerspecTester::beginnings() const {
  std::set<std::string> out;
  for (const auto& spec : spec_arguments()) {
    fs::path path = fs::path(spec).lexically_normal();
    out.insert(path.is_absolute() ? path.string() : path.begin()->string());
  }
  return {out.begin(), out.end()};
}

/// What rspec needs, into the machine.
void ServerspecTester::send_specs(Communicator& communicator, const std::string& remote,
                                  const Deadline& deadline, StageContext& context) const {
  if (!config_.directory.empty()) {
    communicator.upload_tree(config_.directory, remote, {}, deadline, context.stop);
    return;
  }
  std::error_code error;
  for (const auto& path : beginnings()) {
    if (path.starts_with('/') || path == "." || path == "..") {
      throw Error(
          ErrorKind::user,
          fmt::format("serverspec in the machine needs \"directory\", which is sent there; {} is not", path));
    }
    std::string to = fmt::format("{}/{}", remote, path);
    if (fs::is_directory(path, error)) {
      communicator.upload_tree(path, to, {}, deadline, context.stop);
    } else {
      upload_text(communicator, to, read_file(path), 0644, deadline, context.stop);
    }
  }
}

bool ServerspecTester::on_host(const TestTarget& target) const {
  bool ssh = data_text(target.build_data, "ConnType") == "ssh";
  if (config_.run_in == "guest") return false;
  if (config_.run_in.empty()) return ssh && find_program("rspec").has_value();
  if (!ssh)
    throw Error(
        ErrorKind::user,
        "serverspec runs on the host only when the machine is reached by SSH; use run_in = \"guest\"");
  return true;
}

/// The machine's key as a file of our own, "" if there is none. Ruby's Net::SSH reads RSA keys in their PEM
/// form only (with OpenSSL 3); what cannot be turned into it stays as it is.
static std::string own_identity(const Value& data, const std::string& directory, const Stop& stop) {
  std::string key = data_text(data, "SSHPrivateKey"), given = data_text(data, "SSHPrivateKeyFile");
  if (key.empty() && !given.empty()) key = read_file(expand_home(given));
  if (key.empty()) return "";
  std::string path = directory + "/identity";
  write_file_atomically(path, key.ends_with('\n') ? key : key + "\n", 0600);
  if (find_program("ssh-keygen")) {
    run({{"ssh-keygen", "-q", "-p", "-P", "", "-N", "", "-m", "PEM", "-f", path}},
        Deadline::in(std::chrono::seconds(30)), stop);
  }
  return path;
}

int ServerspecTester::run_on_host(const TestTarget& target, std::map<std::string, std::string> env,
                                  LineSplitter& out, LineSplitter& err, StageContext& context) const {
  PrivateDirectory private_directory("kiln-serverspec", context);
  const Value& data = target.build_data;
  std::string directory = private_directory.path().string();
  write_file_atomically(directory + "/kiln_formatter.rb", rspec_formatter, 0600);
  write_file_atomically(directory + "/kiln_preamble.rb", rspec_preamble, 0600);
  std::string password = data_text(data, "Password");
  env["KILN_TARGET"] = "ssh";
  env["KILN_SSH_HOST"] = data_text(data, "Host");
  env["KILN_SSH_PORT"] = data_text(data, "Port").empty() ? "22" : data_text(data, "Port");
  env["KILN_SSH_USER"] = data_text(data, "User");
  env["KILN_SSH_KEY"] = own_identity(data, directory, context.stop);
  env["KILN_SSH_PASSWORD"] = password;
  env["KILN_SUDO"] = config_.sudo ? "yes" : "no";
  env.emplace("TARGET_HOST", env["KILN_SSH_HOST"]);
  std::string sudo_password = config_.sudo_password.empty() ? password : config_.sudo_password;
  if (!sudo_password.empty()) env.emplace("SUDO_PASSWORD", sudo_password);
  Command command{{"rspec"}, env};
  for (auto& argument : rspec_arguments(directory)) command.argv.push_back(argument);
  if (!config_.directory.empty()) command.directory = config_.directory;
  command.new_session = true;
  return run_journaled(
             command, "rspec", [&](std::string_view bytes) { out.feed(bytes); },
             [&](std::string_view bytes) { err.feed(bytes); }, Deadline::never(), context)
      .code;
}

void ServerspecTester::require_rspec(Communicator& communicator, StageContext& context) const {
  std::string said;
  auto keep = [&](std::string_view bytes) { said += bytes; };
  int status = communicator.run("command -v rspec && rspec -r serverspec --version", keep, keep,
                                Deadline::in(std::chrono::minutes(5)), context.stop);
  if (status == 0) return;
  context.log.line("rspec in the machine: " + said);
  throw Error(ErrorKind::user,
              "rspec with serverspec is not installed in the machine. Install them there (Debian: "
              "ruby-serverspec and "
              "ruby-rspec), or run the specs from the host: run_in = \"host\" needs SSH and rspec here.");
}

int ServerspecTester::run_in_guest(Communicator& communicator, std::map<std::string, std::string> env,
                                   LineSplitter& out, LineSplitter& err, StageContext& context) const {
  require_rspec(communicator, context);
  Deadline deadline = Deadline::in(std::chrono::minutes(10));
  std::string remote =
      fmt::format("{}/kiln-specs-{}", config_.errand.remote_folder, hex_encode(random_bytes(6)));
  std::string script = "set -e\n", words;
  env["KILN_TARGET"] = "exec";
  env.emplace("TARGET_HOST", "localhost");
  for (const auto& [key, value] : env) script += fmt::format("export {}={}\n", key, shell_quote(value));
  for (const auto& argument : rspec_arguments(remote)) words += " " + shell_quote(argument);
  script += fmt::format("cd {}/specs\nexec rspec{}\n", shell_quote(remote), words);
  during("Error sending the specs", [&] {
    auto ignore = [](std::string_view) {};
    communicator.run("mkdir -p " + shell_quote(remote + "/specs"), ignore, ignore, deadline, context.stop);
    send_specs(communicator, remote + "/specs", deadline, context);
    upload_text(communicator, remote + "/kiln_formatter.rb", rspec_formatter, 0644, deadline, context.stop);
    upload_text(communicator, remote + "/kiln_preamble.rb", rspec_preamble, 0644, deadline, context.stop);
  });
  return run_errand(
      communicator, config_.errand, script, [&](std::string_view bytes) { out.feed(bytes); },
      [&](std::string_view bytes) { err.feed(bytes); }, Deadline::never(), context);
}

TestReport ServerspecTester::run(const TestTarget& target, StageContext& context) {
  TestReport report;
  Remarks remarks;
  std::string nonce = hex_encode(random_bytes(12));
  auto remark = [&](std::string_view line) {
    remarks.add(line);
    context.log.line(fmt::format("rspec: {}", line));
  };
  RspecReader reader(
      nonce, config_.directory,
      [&](CheckResult result) {
        emit_check(context.ui, result);
        report.checks.push_back(std::move(result));
      },
      remark);
  LineSplitter out([&](std::string_view line) { reader.line(line); });
  LineSplitter err([&](std::string_view line) { remark(line); });
  int status = on_host(target) ? run_on_host(target, variables(nonce), out, err, context)
                               : run_in_guest(target.communicator, variables(nonce), out, err, context);
  out.finish();
  err.finish();
  if (!reader.complete()) {
    throw Error(ErrorKind::remote,
                fmt::format("rspec ended with exit status {} before its end: {}", status, remarks.text()));
  }
  return report;
}

}  // namespace

ComponentEntry<Tester> serverspec_tester() {
  return {"serverspec", "Runs serverspec's specs by rspec, from this host by SSH or in the machine.",
          serverspec_options, [] { return std::make_unique<ServerspecTester>(); }};
}

}  // namespace kiln
