// For tests only: real OpenSSH and dropbear servers on 127.0.0.1, and a stage to connect from.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "communicator/ssh/config.h"
#include "communicator/ssh/ssh.h"
#include "core/journal.h"

namespace kiln::testing_ssh {

using namespace std::chrono_literals;

inline std::string me() { return getpwuid(geteuid())->pw_name; }

inline sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// A listening socket on 127.0.0.1; port 0 takes a free one.
inline Fd listen_here(int* port) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = loopback(*port);
  socklen_t size = sizeof address;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) throw_errno("bind");
  ::listen(fd.get(), 64);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  *port = ntohs(address.sin_port);
  return fd;
}

inline int free_port() {
  int port = 0;
  listen_here(&port);
  return port;
}

inline void generate_key(const fs::path& path, const std::string& type = "ed25519") {
  run_checked({{"ssh-keygen", "-q", "-t", type, "-N", "", "-C", "test", "-f", path.string()}},
              Deadline::in(20s), Stop());
}

inline void wait_for_port(int port) {
  Deadline deadline = Deadline::in(10s);
  while (!deadline.passed()) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(port);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return;
    sleep_for(5ms, Stop());
  }
  throw Error(ErrorKind::environment, "the test's server does not listen");
}

/// Keys and directories shared by the servers of one test.
struct Ground {
  TempDir dir{"kiln-ssh"};
  fs::path key = dir.path() / "id";
  fs::path authorized = dir.path() / "authorized_keys";
  Ground() {
    ::signal(SIGPIPE, SIG_IGN);  // as main does
    generate_key(key);
    write_file_atomically(authorized, read_file(key.string() + ".pub"), 0600);
    generate_key(dir.path() / "host");
    if (geteuid() == 0) ::mkdir("/run/sshd", 0755);
  }
};

/// An OpenSSH server. Lives as long as the object.
class OpenSshd {
 public:
  explicit OpenSshd(const Ground& ground, const std::string& extra = {}, int port = 0)
      : port_(port ? port : free_port()), ground_(ground), extra_(extra) {
    start();
  }
  void start() {
    fs::path config = ground_.dir.path() / ("sshd_config." + std::to_string(port_));
    write_file_atomically(
        config, "Port " + std::to_string(port_) + "\nListenAddress 127.0.0.1\nHostKey " +
                    (ground_.dir.path() / "host").string() + "\nAuthorizedKeysFile " +
                    ground_.authorized.string() +
                    "\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n"
                    "SetEnv HOME=" +
                    ground_.dir.path().string() +  // no profile of this machine's user
                    "\nAllowTcpForwarding yes\nAllowAgentForwarding yes\nMaxStartups 100\n" +
                    (extra_.find("Subsystem") == std::string::npos ? "Subsystem sftp internal-sftp\n" : "") +
                    extra_ + "\n");
    Process::Streams streams;
    log_ = ground_.dir.path() / ("sshd.log." + std::to_string(port_));
    streams.out = Process::Stdio::null;
    streams.err = Process::Stdio::null;
    process_.emplace(Process::start(
        {{"/usr/sbin/sshd", "-D", "-E", log_.string(), "-f", config.string()}, {}, {}, true}, streams));
    wait_for_port(port_);
  }
  /// Kills the listener and every connection's process.
  void kill_all() {
    process_->kill(SIGKILL);
    process_.reset();
  }
  std::string log() const { return read_file_if_exists(log_).value_or(""); }
  int port() const { return port_; }
  SshTarget target() const { return {"127.0.0.1", port_}; }

 private:
  int port_;
  const Ground& ground_;
  std::string extra_;
  fs::path log_;
  std::optional<Process> process_;
};

struct NoJournal : Journal {
  Resource append(ResourceKind, const std::string&, const std::string&) override { return {}; }
  void remove(int64_t) override {}
  void take_over(int64_t) override {}
  std::vector<Resource> all() override { return {}; }
};

struct Recorder : EventSink {
  std::vector<Event> events;
  void emit(const Event& event) override { events.push_back(event); }
  std::string ask(const std::string&, const std::string&, const Stop&) override { return answer; }
  std::string answer;
};

/// A stage to connect from.
struct Scene {
  BuildInfo build;
  Recorder sink;
  Stop stop;
  Undo undo;
  NoJournal journal;
  Log log;
  StageContext context{build, Ui(sink, "test"), stop, undo, journal, log, {}, {}, {}};
  std::vector<std::string> said() const {
    std::vector<std::string> out;
    for (const auto& event : sink.events) out.push_back(event.text);
    return out;
  }
};

inline CommunicatorConfig config_with_key(const Ground& ground) {
  CommunicatorConfig config;
  config.ssh_username = me();
  config.ssh_private_key_file = ground.key.string();
  config.ssh_timeout = 20s;
  return config;
}

struct Ran {
  int status = -1;
  std::string out;
  std::string err;
};
inline Ran run_remote(Communicator& communicator, const std::string& command,
                      Deadline deadline = Deadline::in(20s)) {
  Ran ran;
  ran.status = communicator.run(
      command, [&](std::string_view b) { ran.out += b; }, [&](std::string_view b) { ran.err += b; }, deadline,
      Stop());
  return ran;
}

inline ByteSource source_of(const std::string& text) {
  return [text, at = size_t(0)](char* buffer, size_t size) mutable {
    size_t n = text.copy(buffer, size, at);
    at += n;
    return n;
  };
}

inline std::string download_text(Communicator& communicator, const std::string& path) {
  std::string out;
  communicator.download(
      path, [&](std::string_view b) { out += b; }, Deadline::in(20s), Stop());
  return out;
}

/// Runs f and returns the Error it throws.
template <class F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e;
  }
  ADD_FAILURE() << "no error";
  return Error(ErrorKind::internal, "no error");
}

}  // namespace kiln::testing_ssh
