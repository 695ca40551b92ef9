// ec2 userdata: a throw-away instance runs a user-data script, and we say how it went.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/ec2_place.h"
#include "cli/signals.h"
#include "endpoint/disks.h"
#include "endpoint/endpoint.h"
#include "kit/cloud_seed.h"
#include "kit/key_pair.h"

namespace kiln {

namespace {

constexpr size_t longest_user_data = 16384;
constexpr auto default_patience = std::chrono::minutes(15);
constexpr auto try_again = std::chrono::seconds(2);
constexpr const char* done_mark = "KILN-USERDATA-DONE";

/// What the guest is asked: wait until cloud-init has ended, then what failed and what it came to.
constexpr const char* verdict_script =
    "S=; [ \"$(id -u)\" = 0 ] || S='sudo -n'; "
    "until [ -e /var/lib/cloud/instance/boot-finished ]; do sleep 1; done; "
    "$S grep -h -A1 -e 'Failed running' -e \"^Command: .*/var/lib/cloud/instance/scripts/\" "
    "/var/log/cloud-init.log; "
    "echo KILN-USERDATA-DONE; $S cat /var/lib/cloud/data/result.json";

/// An endpoint of its own in a directory that goes when it is over, journaled.
class Trial {
 public:
  Trial(Invocation& invocation, const Ec2Options& options, const Stop& stop)
      : journal_(open_journal(state_directory(), invocation.run_id)),
        directory_(ec2_directory() / ("try-" + hex_encode(random_bytes(4)))),
        journal_id_(journal_->append(ResourceKind::path, directory_.string(), "ec2 userdata").id),
        endpoint_(std::make_unique<ec2::Endpoint>(directory_, *journal_,
                                                  ec2_machine_options(invocation, options, stop))) {}
  ~Trial() {
    endpoint_->machines().shut_down(std::chrono::seconds(0));
    endpoint_.reset();
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
    journal_->remove(journal_id_);
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;
  ec2::Endpoint& endpoint() { return *endpoint_; }
  const fs::path& directory() const { return directory_; }

 private:
  std::unique_ptr<Journal> journal_;
  fs::path directory_;
  int64_t journal_id_;
  std::unique_ptr<ec2::Endpoint> endpoint_;
};

/// A file of the other state under the same name: as a link, so that it stays even when it is deleted there.
void link_file(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to.parent_path());
  fs::create_hard_link(from, to, error);
  if (error) fs::create_symlink(from, to);
}

/// Gives the trial an AMI of the state, its content shared.
ec2::Image lend_image(ec2::State& from, ec2::State& to, const std::string& reference) {
  auto from_lock = from.lock();
  auto to_lock = to.lock();
  const ec2::Image& image = find_ec2_image(from, reference);
  if (image.state != "available") {
    throw Error(ErrorKind::user, fmt::format("The AMI {} is {}.", image.id, image.state));
  }
  for (const auto& device : image.devices) {
    const auto* snapshot = from.find<ec2::Snapshot>(device.snapshot_id);
    if (!snapshot) continue;
    to.put(*snapshot);
    link_file(ec2::snapshot_file(from, snapshot->file), ec2::snapshot_file(to, snapshot->file));
    for (const auto& file : snapshot->chain)
      link_file(ec2::snapshot_file(from, file), ec2::snapshot_file(to, file));
  }
  return to.put(image);
}

/// One instance of a trial, seen from its user.
struct TrialInstance {
  std::string id;
  std::string region;
  std::string address;
};

/// The instance as the state has it; throws when it has ended.
ec2::Instance look(Trial& trial, const std::string& id) {
  auto lock = trial.endpoint().state().lock();
  return trial.endpoint().state().instances.at(id);
}

TrialInstance start_instance(Trial& trial, const ec2::Image& image, const Ec2Options& options,
                             const std::string& script, const KeyPair& keys, const Stop& stop) {
  auto call = [&](const char* action, std::vector<std::pair<std::string, std::string>> values) {
    ec2::Params params;
    for (auto& [name, value] : values) params.set(name, std::move(value));
    return trial.endpoint().call("ec2", action, image.region, params, stop);
  };
  call("ImportKeyPair", {{"KeyName", "trial"}, {"PublicKeyMaterial", base64_encode(keys.public_text)}});
  call("CreateSecurityGroup", {{"GroupName", "trial"}, {"GroupDescription", "a trial"}});
  call("AuthorizeSecurityGroupIngress", {{"GroupName", "trial"},
                                         {"IpProtocol", "tcp"},
                                         {"FromPort", "22"},
                                         {"ToPort", "22"},
                                         {"CidrIp", "127.0.0.0/8"}});
  call("RunInstances", {{"ImageId", image.id},
                        {"InstanceType", options.type.empty() ? "t2.small" : options.type},
                        {"KeyName", "trial"},
                        {"SecurityGroup.1", "trial"},
                        {"UserData", base64_encode(script)},
                        {"MinCount", "1"},
                        {"MaxCount", "1"}});
  auto lock = trial.endpoint().state().lock();
  const auto& instance = trial.endpoint().state().instances.begin()->second;
  return {instance.id, instance.region, instance.address};
}

/// Shows what the serial console says, line by line, without what moves a cursor.
class ConsoleFollower {
 public:
  ConsoleFollower(fs::path file, Ui ui)
      : file_(std::move(file)), lines_([ui](std::string_view line) { ui.message(plain(line)); }) {}
  void show() {
    if (!log_.is_open()) log_ = Fd(::open(file_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!log_.is_open()) return;
    for (std::string part = read_some(log_.get()); !part.empty(); part = read_some(log_.get()))
      lines_.feed(part);
  }

 private:
  static std::string plain(std::string_view line) {
    std::string out;
    for (size_t i = 0; i < line.size(); ++i) {
      auto c = static_cast<unsigned char>(line[i]);
      if (c == 0x1b && i + 1 < line.size() && line[i + 1] == '[') {
        i += 2;
        while (i < line.size() && (line[i] < '@' || line[i] > '~')) ++i;
      } else if (c >= 0x20 || c == '\t') {
        out += static_cast<char>(c);
      }
    }
    return out;
  }
  fs::path file_;
  Fd log_;
  LineSplitter lines_;
};

/// ssh into the instance.
class TrialShell {
 public:
  TrialShell(const TrialInstance& instance, const KeyPair& keys, const fs::path& directory, std::string user)
      : address_(instance.address), key_(directory / "key"), user_(std::move(user)) {
    write_file_atomically(key_, keys.private_text, 0600);
  }

  Command command(const std::string& user) const {
    return {.argv = {"ssh", "-i", key_.string(), "-p", ec2::may_listen_low() ? "22" : "2222", "-o",
                     "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                     "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=5", "-l", user, address_}};
  }

  /// What the command says, or nullopt when one cannot get in yet. cloud-init tells root by what name to
  /// come.
  std::optional<std::string> ask(const std::string& script, const Deadline& deadline, const Stop& stop) {
    Command ssh = command(user_.empty() ? "root" : user_);
    ssh.argv.insert(ssh.argv.end(), {"-o", "BatchMode=yes", script});
    RunResult result = run(ssh, deadline, stop);
    if (user_.empty()) {
      constexpr std::string_view before = "Please login as the user \"";
      size_t at = result.out.find(before);
      if (at != std::string::npos) {
        std::string rest = result.out.substr(at + before.size());
        user_ = rest.substr(0, rest.find('"'));
        return std::nullopt;
      }
    }
    if (result.status.code == 255 || !contains(result.out, done_mark)) return std::nullopt;
    return result.out;
  }
  std::string user() const { return user_.empty() ? "root" : user_; }

 private:
  std::string address_;
  fs::path key_;
  std::string user_;
};

/// How cloud-init's run of the script ended.
struct Verdict {
  int code = 0;
  std::vector<std::string> errors;
};

/// Reads the answer to verdict_script.
Verdict read_verdict(const std::string& text) {
  Verdict out;
  size_t mark = text.find(done_mark);
  for (const auto& line : split(text.substr(0, mark), '\n')) {
    // "Exit code: 3" below the command, or "... Failed running /var/lib/cloud/instance/scripts/part-001 [3]".
    size_t at = line.starts_with("Exit code: ")     ? 11
                : contains(line, "Failed running ") ? line.rfind('[') + 1
                                                    : 0;
    if (at == 0) continue;
    int code = 1;
    std::from_chars(line.data() + at, line.data() + line.size(), code);
    out.code = code;
  }
  size_t json_at = text.find('{', mark == std::string::npos ? 0 : mark);
  auto json = json_at == std::string::npos ? nlohmann::json()
                                           : nlohmann::json::parse(text.substr(json_at), nullptr, false);
  if (json.is_object() && json.contains("v1") && json["v1"].is_object() && json["v1"].contains("errors")) {
    for (const auto& error : json["v1"]["errors"]) {
      if (error.is_string()) out.errors.push_back(error.get<std::string>());
    }
  }
  if (!out.errors.empty() && out.code == 0) out.code = 1;
  return out;
}

/// Follows the console until the verdict is there. Throws Error when the instance ends first.
Verdict wait_for_verdict(Trial& trial, const TrialInstance& instance, TrialShell& shell,
                         ConsoleFollower& console, const Deadline& deadline, const Stop& stop) {
  // A thread asks while the console goes on.
  std::optional<std::string> answer;
  Stop asking = stop.child();
  std::atomic<bool> done = false;
  std::thread asker([&] {
    try {
      while (!done && !(answer = shell.ask(verdict_script, deadline, asking))) sleep_for(try_again, asking);
    } catch (const Error&) {
      // The main thread knows why.
    }
    done = true;
  });
  std::string ended;
  try {
    while (!done && ended.empty()) {
      console.show();
      ec2::Instance now = look(trial, instance.id);
      if (now.state == "stopped" || now.state == "terminated") ended = now.state_reason;
      if (deadline.passed()) ended = "it was not done in time (-timeout)";
      sleep_for(Millis(200), stop);
    }
  } catch (const Error& error) {
    ended = error.message();
  }
  asking.request();
  asker.join();
  console.show();
  stop.check();
  if (answer) return read_verdict(*answer);
  throw Error(ErrorKind::remote, "The instance ended before its user data was done: " + ended);
}

void open_trial_shell(const TrialShell& shell, const Ui& ui, const Stop& stop) {
  ui.say("A shell in the throw-away instance: all is gone when it ends (exit).");
  Process process = Process::start(shell.command(shell.user()), {.in = Process::Stdio::inherit});
  while (!process.wait(Deadline::in(std::chrono::hours(1)), stop)) {
  }
}

std::string checked_script(const std::string& path, const Ui& ui) {
  std::string script = read_file(path);
  if (script.empty()) throw Error(ErrorKind::user, path + " is empty.");
  if (script.size() > longest_user_data) {
    throw Error(ErrorKind::user,
                fmt::format("{} has {} bytes; EC2 takes {}.", path, script.size(), longest_user_data));
  }
  if (const char* why = strange_user_data(script)) ui.error(fmt::format("Warning: {}: {}", path, why));
  return script;
}

std::chrono::nanoseconds patience_of(const std::string& text) {
  if (text.empty()) return default_patience;
  auto parsed = parse_go_duration(text);
  if (!parsed || parsed->count() <= 0)
    throw Error(ErrorKind::user, "Error: -timeout is written like 90s or 5m.");
  return *parsed;
}

}  // namespace

int run_ec2_userdata(Invocation& invocation, CommandOptions& options,
                     const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  Ui ui = invocation.ui();
  if (options.ec2.ami.empty()) throw Error(ErrorKind::user, "Error: which AMI shall run it? -ami=AMI");
  std::string script = checked_script(arguments[0], ui);
  Deadline deadline = Deadline::in(patience_of(options.timeout));
  auto state = open_ec2_state();
  Stop stop;
  SignalWatch signals(stop,
                      [&](const std::string& name) { ui.say(fmt::format("Stopping after {}...", name)); });
  Trial trial(invocation, options.ec2, stop);
  ec2::Image image = lend_image(*state, trial.endpoint().state(), options.ec2.ami);
  KeyPair keys = make_key_pair("ed25519", 0, "kiln-trial");
  TrialInstance instance = start_instance(trial, image, options.ec2, script, keys, stop);
  ui.say(fmt::format("{} ({}) starts as {}.", image.id, image.name, instance.address));
  TrialShell shell(instance, keys, trial.directory(), options.ec2.user);
  ConsoleFollower console(trial.directory() / "instances" / instance.id / "serial.log", ui);
  Verdict verdict = wait_for_verdict(trial, instance, shell, console, deadline, stop);
  for (const auto& error : verdict.errors) ui.error(error);
  ui.say(verdict.code == 0 ? "The user data ran well."
                           : fmt::format("The user data failed with exit code {}.", verdict.code));
  if (options.ec2.shell) open_trial_shell(shell, ui, stop);
  return verdict.code;
}

}  // namespace kiln
