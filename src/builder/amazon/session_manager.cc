#include "builder/amazon/session_manager.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

namespace kiln::amazon {

namespace {

constexpr const char* plugin = "session-manager-plugin";
constexpr const char* response_variable = "AWS_SSM_START_SESSION_RESPONSE";
constexpr auto agent_limit =
    std::chrono::minutes(10);  ///< until the agent in a fresh instance has said that it is there
constexpr auto tunnel_limit = std::chrono::seconds(60);

sockaddr_in loopback_port(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

/// Free a moment ago; the program takes it itself.
int free_local_port() {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback_port(0);
  socklen_t size = sizeof address;
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) throw_errno("bind");
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool listens(int port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback_port(port);
  return ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

nlohmann::json start_session(Running& running, const nlohmann::json& input, StageContext& context) {
  nlohmann::json session;
  aws_wait_until("the instance's SSM agent", running.wait_plan(agent_limit), context.stop,
                 [&](const Deadline& deadline) {
                   try {
                     session = running.client->json("ssm", "StartSession", input, deadline, context.stop);
                     return true;
                   } catch (const AwsError& error) {
                     if (error.code() != "TargetNotConnected") throw;
                     return false;
                   }
                 });
  return session;
}

/// The session's token is a secret: by the environment where the program takes it from there.
Command plugin_command(const Running& running, const nlohmann::json& session, const nlohmann::json& input,
                       const std::string& version) {
  Command command;
  std::string response = session.dump();
  std::string first = response;
  if (plugin_reads_environment(version)) {
    first = response_variable;
    command.env[response_variable] = response;
  }
  command.argv = {plugin,
                  first,
                  running.region,
                  "StartSession",
                  running.access.profile,
                  input.dump(),
                  aws_endpoint_url("ssm", running.region, running.client->settings().endpoints)};
  command.new_session = true;
  return command;
}

}  // namespace

bool plugin_reads_environment(const std::string& version) {
  auto parts = split(trim(version), '.');
  if (parts.size() < 3) return false;
  std::vector<int> numbers;
  for (const auto& part : parts) numbers.push_back(std::atoi(part.c_str()));
  return numbers >= std::vector<int>{1, 2, 497, 0};
}

int open_session_tunnel(const std::shared_ptr<Running>& running, int remote_port, StageContext& context) {
  if (!find_program(plugin)) {
    throw Error(ErrorKind::environment,
                fmt::format("ssh_interface session_manager needs the program {} of AWS on PATH", plugin));
  }
  if (running->run.pause_before_ssm.count() > 0) {
    context.ui.say(fmt::format("Waiting {} for establishing the SSM session...",
                               format_go_duration(running->run.pause_before_ssm)));
    sleep_for(running->run.pause_before_ssm, context.stop);
  }
  int local = running->run.session_manager_port != 0 ? running->run.session_manager_port : free_local_port();
  nlohmann::json input{
      {"Target", running->instance_id},
      {"DocumentName", "AWS-StartPortForwardingSession"},
      {"Parameters",
       {{"portNumber", {fmt::format("{}", remote_port)}}, {"localPortNumber", {fmt::format("{}", local)}}}}};
  nlohmann::json session = start_session(*running, input, context);
  std::string id = session.value("SessionId", "");
  std::string version = run({{plugin, "--version"}}, Deadline::in(std::chrono::seconds(20)), context.stop).out;
  Command command = plugin_command(*running, session, input, version);
  Resource entry = context.journal.append(ResourceKind::process, plugin, context.build.display_name);
  command.env["KILN_RESOURCE"] = entry.token;
  auto process = std::make_shared<std::optional<Process>>();
  Journal* journal = &context.journal;
  context.undo.add("end the SSM session", [=](Outcome) {
    if (*process) (*process)->terminate();
    process->reset();
    journal->remove(entry.id);
    CleanUp clean;
    if (!id.empty()) running->client->json("ssm", "TerminateSession", {{"SessionId", id}}, clean.deadline, clean.stop);
  });
  process->emplace(Process::start(command, {.out = Process::Stdio::null, .err = Process::Stdio::null}));
  context.ui.message(fmt::format("Starting portForwarding session {}.", go_quote(id)));
  Deadline deadline = Deadline::in(tunnel_limit);
  while (!listens(local)) {
    if ((*process)->poll())
      throw Error(ErrorKind::environment, fmt::format("{} ended before the tunnel was there", plugin));
    if (deadline.passed()) throw Error(ErrorKind::timeout, fmt::format("{} makes no tunnel", plugin));
    sleep_for(Millis(100), context.stop);
  }
  return local;
}

}  // namespace kiln::amazon
