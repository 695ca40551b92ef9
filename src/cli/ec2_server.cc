#include "cli/ec2_server.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "core/process_table.h"

namespace kiln {

namespace {

constexpr auto shutdown_grace = std::chrono::seconds(60);

/// The port it had the last time, so that what clients have written down stays true.
int port_to_try(const Ec2Options& options) {
  if (options.port != 0) return options.port;
  auto before = read_ec2_process();
  return before ? before->port : 0;
}

std::unique_ptr<ec2::HttpService> listen(ec2::Endpoint& endpoint, const Ec2Options& options) {
  auto handler = [&endpoint](const ec2::HttpCall& call, const Stop& stop) {
    return endpoint.handle(call, stop);
  };
  int port = port_to_try(options);
  try {
    return std::make_unique<ec2::HttpService>(options.address, port, handler);
  } catch (const Error&) {
    if (port == 0 || options.port != 0) throw;
  }
  return std::make_unique<ec2::HttpService>(options.address, 0, handler);
}

std::optional<FileLock> lock_directory() {
  fs::create_directories(ec2_directory());
  return FileLock::try_lock(ec2_directory() / "lock");
}

void block_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void enter_environment(const Ec2Process& process, const ec2::AccessKey& key, Redactor& redactor) {
  redactor.add(key.secret);
  for (const auto& [name, value] : ec2_environment(process, key, ec2_region(""))) {
    ::setenv(name.c_str(), value.c_str(), 1);
  }
  for (const char* name : {"AWS_SESSION_TOKEN", "AWS_PROFILE"}) ::unsetenv(name);
}

}  // namespace

Ec2Server::Ec2Server(Invocation& invocation, const Ec2Options& options,
                     std::function<void(const std::string&)> log, const Stop& stop,
                     const std::function<void(const Ec2Process&, const ec2::AccessKey&)>& before_threads)
    : only_one_(lock_directory()) {
  if (!only_one_) throw Error(ErrorKind::user, "The endpoint runs already (`kiln ec2 status`).");
  journal_ = open_journal(state_directory(), invocation.run_id);
  ec2::MachineOptions machine_options = ec2_machine_options(invocation, options, stop);
  machine_options.log = std::move(log);
  endpoint_ = std::make_unique<ec2::Endpoint>(ec2_directory(), *journal_, std::move(machine_options));
  ec2::AccessKey key = endpoint_->own_keys();
  service_ = listen(*endpoint_, options);
  process_ = {::getpid(), process_start_time(::getpid()).value_or(0), options.address, service_->port()};
  if (before_threads) before_threads(process_, key);
  endpoint_->machines().adopt();
  write_ec2_process(process_);
}

Ec2Server::~Ec2Server() {
  service_.reset();
  endpoint_->machines().shut_down(shutdown_grace);
}

std::vector<std::pair<std::string, std::string>> ec2_environment(const Ec2Process& process,
                                                                 const ec2::AccessKey& key,
                                                                 const std::string& region) {
  return {{"AWS_ENDPOINT_URL", process.url()},   {"AWS_ACCESS_KEY_ID", key.id},
          {"AWS_SECRET_ACCESS_KEY", key.secret}, {"AWS_REGION", region},
          {"AWS_DEFAULT_REGION", region},        {"AWS_EC2_METADATA_DISABLED", "true"}};
}

LocalEc2::LocalEc2(Invocation& invocation) {
  if (auto running = read_ec2_process(); running && running->alive()) {
    auto state = open_ec2_state();
    auto lock = state->lock();
    for (const auto& [id, key] : state->access_keys) {
      if (key.expires == 0) enter_environment(*running, key, *invocation.redactor);
    }
    return;
  }
  block_signals();
  auto log = [log = invocation.log](const std::string& line) { log->line("[INFO] ec2: " + line); };
  auto enter = [&](const Ec2Process& process, const ec2::AccessKey& key) {
    enter_environment(process, key, *invocation.redactor);
  };
  server_ = std::make_unique<Ec2Server>(invocation, Ec2Options(), log, Stop(), enter);
}

}  // namespace kiln
