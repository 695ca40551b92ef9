// ec2 up, down, status, serve, imds: the local EC2 endpoint as a process.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/guarded.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/ec2_place.h"
#include "cli/ec2_server.h"
#include "cli/signals.h"
#include "endpoint/endpoint.h"
#include "endpoint/metadata.h"

namespace kiln {

namespace {

constexpr auto start_patience = std::chrono::seconds(60);
constexpr auto down_patience = std::chrono::minutes(3);

std::string environment_text(const Ec2Process& process, const std::string& region) {
  auto state = open_ec2_state();
  auto lock = state->lock();
  std::string out;
  for (const auto& [id, key] : state->access_keys) {
    if (key.expires != 0) continue;
    for (const auto& [name, value] : ec2_environment(process, key, region)) {
      out += fmt::format("export {}={}\n", name, value);
    }
  }
  return out + fmt::format(
                   "unset AWS_SESSION_TOKEN AWS_PROFILE\n"
                   "# Clients that do not know AWS_ENDPOINT_URL: aws --endpoint-url {0}, "
                   "boto3.client(endpoint_url=\"{0}\"),\n"
                   "# Packer's \"custom_endpoint_ec2\": \"{0}\".",
                   process.url());
}

std::vector<std::string> serve_words(const Ec2Options& options) {
  std::vector<std::string> words = {fs::read_symlink("/proc/self/exe").string(), "ec2", "serve"};
  if (options.port != 0) words.push_back(fmt::format("-port={}", options.port));
  if (!options.accelerator.empty()) words.push_back("-accelerator=" + options.accelerator);
  if (options.outbound) words.emplace_back("-outbound");
  return words;
}

/// Starts it in the background and waits until it listens.
Ec2Process start_in_background(const Ec2Options& options) {
  fs::create_directories(ec2_directory());
  fs::path log = ec2_directory() / "endpoint.log";
  Fd log_fd(::open(log.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600));
  if (!log_fd.is_open()) throw_errno("open " + log.string());
  Command command{.argv = serve_words(options), .directory = "/", .new_session = true};
  Process process = Process::start(command, {.out_fd = log_fd.get(), .err_fd = log_fd.get()});
  for (Deadline deadline = Deadline::in(start_patience); !deadline.passed();) {
    if (process.wait(deadline.at_most(Millis(50)), Stop())) {
      std::string words(trim(read_file(log)));
      throw Error(ErrorKind::environment, "The endpoint did not start:\n" + words);
    }
    auto written = read_ec2_process();
    if (written && written->pid == process.pid() && written->alive()) {
      process.detach();
      return *written;
    }
  }
  throw Error(ErrorKind::timeout, "The endpoint did not start in time; see " + log.string());
}

void wait_for_stop(const Stop& stop) {
  try {
    wait({}, Deadline::never(), stop);
  } catch (const Error&) {
    // Asked to end.
  }
}

std::string how_many(size_t n, const char* what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }

}  // namespace

int run_ec2(Invocation&, CommandOptions&, const std::vector<std::string>&) { return show_help; }

int run_ec2_up(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  Ui ui = invocation.ui();
  std::string region = ec2_region(options.ec2.region);
  auto show = [&](const Ec2Process& process) { ui.say(environment_text(process, region)); };
  if (auto running = read_ec2_process(); running && running->alive()) {
    show(*running);
    return 0;
  }
  if (!options.ec2.foreground) {
    show(start_in_background(options.ec2));
    return 0;
  }
  Stop stop;
  SignalWatch signals(stop, [&](const std::string&) { ui.say("# Shutting instances down..."); });
  Ec2Server server(
      invocation, options.ec2, [&](const std::string& line) { ui.say("# " + line); }, stop);
  show(server.process());
  wait_for_stop(stop);
  return 0;
}

int run_ec2_serve(Invocation& invocation, CommandOptions& options,
                  const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  Stop stop;
  SignalWatch signals(stop, [](const std::string&) {});
  Guarded<bool> one_at_a_time;
  auto log = [&](const std::string& line) {
    std::string text = format_rfc3339_utc(std::chrono::system_clock::now()) + " " + line + "\n";
    try {
      one_at_a_time.with([&](bool&) { write_all(1, text); });
    } catch (const Error&) {  // the disk is full: the endpoint works on without its log
    }
  };
  Ec2Server server(invocation, options.ec2, log, stop);
  wait_for_stop(stop);
  return 0;
}

int run_ec2_down(Invocation& invocation, CommandOptions&, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  auto running = read_ec2_process();
  if (!running || !running->alive()) {
    invocation.ui().say("The endpoint does not run.");
    return 0;
  }
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(running->pid), 0)));
  if (!process.is_open() || !running->alive()) return 0;
  ::syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, nullptr, 0);
  Stop stop;
  SignalWatch signals(stop, [](const std::string&) {});
  if (wait(process.get(), POLLIN, Deadline::in(down_patience), stop) == Woke::deadline) {
    throw Error(ErrorKind::timeout, fmt::format("The endpoint (process {}) does not end.", running->pid));
  }
  invocation.ui().say("The endpoint is down; its instances are stopped.");
  return 0;
}

int run_ec2_status(Invocation& invocation, CommandOptions& options,
                   const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  auto process = read_ec2_process();
  bool up = process && process->alive();
  std::map<std::string, size_t> instances;
  size_t images = 0;
  if (fs::exists(ec2_directory() / "ec2.db")) {
    auto state = open_ec2_state();
    auto lock = state->lock();
    for (const auto& [id, instance] : state->instances) ++instances[instance_state_now(instance)];
    images = state->images.size();
  }
  Ui ui = invocation.ui();
  if (options.json) {
    nlohmann::json out = {{"up", up},         {"url", nullptr},
                          {"pid", nullptr},   {"instances", instances},
                          {"images", images}, {"directory", ec2_directory().string()}};
    if (up) {
      out["url"] = process->url();
      out["pid"] = process->pid;
    }
    ui.say(out.dump());
    return up ? 0 : 1;
  }
  ui.say(up ? fmt::format("The endpoint runs at {} (process {}).", process->url(), process->pid)
            : "The endpoint does not run.");
  std::vector<std::string> parts;
  for (const auto& [state, n] : instances) parts.push_back(fmt::format("{} {}", n, state));
  ui.say(fmt::format("{}; {}; {}", how_many(images, "AMI"),
                     parts.empty() ? "no instances" : "instances: " + join(parts, ", "),
                     ec2_directory().string()));
  return up ? 0 : 1;
}

int run_ec2_imds(Invocation&, CommandOptions&, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  ec2::serve_metadata(arguments[0], 0, 1, Stop());
  return 0;
}

}  // namespace kiln
