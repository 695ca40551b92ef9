// The guest channel with a real machine: the tiny guest of tests/support.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/text.h"
#include "communicator/guest/agent_for_test.h"
#include "wire/qmp.h"

namespace kiln {
namespace {

using namespace testing_guest;
using testing::HasSubstr;

constexpr const char* tiny_guest_maker = KILN_SOURCE_DIR "/tests/support/tiny_guest/make.sh";

/// The tiny guest's directory; made when it is not there yet.
const fs::path& tiny_guest() {
  static const fs::path directory = [] {
    if (auto given = get_env("KILN_TINY_GUEST")) return fs::path(*given);
    fs::path cache = get_env("XDG_CACHE_HOME") ? fs::path(*get_env("XDG_CACHE_HOME")) : expand_home("~/.cache");
    fs::path out = cache / "kiln" / "tiny-guest";
    fs::create_directories(out.parent_path());
    run_checked({{"bash", tiny_guest_maker, out.string()}}, Deadline::in(300s), Stop());
    return out;
  }();
  return directory;
}

int free_port() {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) throw_errno("bind");
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

/// A way in by the ssh program: as much as installing needs.
class SshProgram : public Communicator {
 public:
  SshProgram(int port, std::string before) : port_(port), before_(std::move(before)) {}
  int run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
          const Stop& stop) override {
    return run_streaming({ssh(command)}, out, err, deadline, stop).code;
  }
  void upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline, const Stop& stop) override {
    std::string content(file.size, '\0');
    for (size_t at = 0; at < content.size();) at += source(content.data() + at, content.size() - at);
    run_checked({ssh(fmt::format("cat > {0} && chmod {1:o} {0}", file.path, file.mode))}, deadline, stop, content);
  }
  void upload_tree(const fs::path&, const std::string&, const ProgressFn&, const Deadline&, const Stop&) override {}
  void download(const std::string&, const Sink&, const Deadline&, const Stop&) override {}
  void download_tree(const std::string&, const fs::path&, const Deadline&, const Stop&) override {}

 private:
  std::vector<std::string> ssh(const std::string& command) const {
    return {"ssh", "-F", "none", "-i", (tiny_guest() / "id_ed25519").string(), "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20", "-p",
            std::to_string(port_), "root@127.0.0.1", before_ + command};
  }
  int port_;
  std::string before_;
};

/// A machine with a port for the channel; dies with the object. `state`: goes on from there.
struct TestMachine {
  TempDir dir{"kiln-guest-vm"};
  fs::path socket = dir.path() / "guest";
  fs::path control = dir.path() / "qmp";
  int port = free_port();
  std::optional<Process> qemu;

  explicit TestMachine(const fs::path& state = {}, bool has_port = true) {
    std::vector<std::string> argv = {
        "qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-m", "256M", "-smp", "2", "-display", "none", "-nodefaults",
        "-serial", "file:" + (dir.path() / "console").string(), "-qmp", "unix:" + control.string() + ",server,nowait",
        "-kernel", (tiny_guest() / "vmlinuz").string(), "-initrd", (tiny_guest() / "initrd-live.img").string(),
        "-append", "console=ttyS0 quiet mitigations=off",
        "-netdev", fmt::format("user,id=n,hostfwd=tcp:127.0.0.1:{}-:22", port), "-device", "virtio-net-pci,netdev=n",
        "-device", "virtio-serial-pci", "-chardev", "socket,id=c,server=on,wait=off,path=" + socket.string()};
    std::string name = has_port ? guest_channel_port : "org.other";
    argv.insert(argv.end(), {"-device", "virtserialport,chardev=c,name=" + name});
    if (!state.empty()) argv.insert(argv.end(), {"-incoming", "exec:cat " + state.string()});
    Process::Streams streams{.out = Process::Stdio::null, .err = Process::Stdio::inherit};
    qemu.emplace(Process::start({.argv = argv, .new_session = true}, streams));
    if (!state.empty()) go_on();
  }
  /// It was stopped when its state was taken.
  void go_on() {
    Deadline limit = Deadline::in(60s);
    while (!fs::exists(control) && !limit.passed()) sleep_for(5ms, Stop());
    sleep_for(20ms, Stop());  // from its file to its listening
    QmpClient qmp = QmpClient::connect(control.string(), limit, Stop());
    while (qmp.execute("query-status", nlohmann::json::object(), limit, Stop()).value("status", "") == "inmigrate") {
      sleep_for(5ms, Stop());
    }
    qmp.execute("cont", nlohmann::json::object(), limit, Stop());
  }
  SshProgram ssh(const std::string& before = {}) const { return SshProgram(port, before); }
  SshProgram& wait_for_ssh() {
    for (Deadline limit = Deadline::in(180s); !limit.passed(); sleep_for(200ms, Stop())) {
      way_in.emplace(ssh());
      if (run_there(*way_in, "true", limit).status == 0) return *way_in;
    }
    throw Error(ErrorKind::timeout, "the test's machine does not come up: " +
                                        read_file_if_exists(dir.path() / "console").value_or(""));
  }
  std::unique_ptr<GuestChannel> installed() {
    std::string why;
    if (!install_guest_agent(wait_for_ssh(), why, Deadline::in(60s), Stop())) throw Error(ErrorKind::remote, why);
    return connected();
  }
  std::unique_ptr<GuestChannel> connected() {
    auto channel = connect_guest_channel(socket, Deadline::in(60s), Stop());
    if (!channel) throw Error(ErrorKind::remote, "the agent does not answer");
    return channel;
  }
  /// Writes its state and ends it.
  void freeze(const fs::path& state) {
    Deadline limit = Deadline::in(120s);
    QmpClient qmp = QmpClient::connect(control.string(), limit, Stop());
    qmp.execute("stop", {}, limit, Stop());
    qmp.execute("migrate", {{"uri", "exec:cat > " + state.string()}}, limit, Stop());
    for (;;) {
      auto status = qmp.execute("query-migrate", nlohmann::json::object(), limit, Stop()).value("status", "");
      if (status == "completed") break;
      if (status == "failed" || limit.passed()) throw Error(ErrorKind::remote, "the state is not written: " + status);
      sleep_for(20ms, Stop());
    }
    qemu.reset();
  }
  std::optional<SshProgram> way_in;
};

class VmGuestChannel : public testing::Test {
 protected:
  Stop stop;
  void SetUp() override {
    if (guest_agent_program().empty()) GTEST_SKIP() << "this Kiln was built without an agent";
    if (!get_env("KILN_TINY_GUEST") && !fs::exists(tiny_guest_maker)) GTEST_SKIP() << "no tiny guest to be had";
    if (!find_program("qemu-system-x86_64")) GTEST_SKIP() << "no QEMU";
  }
};

TEST_F(VmGuestChannel, IsInstalledOverSshAndLeavesNothing) {
  TestMachine machine;
  auto channel = machine.installed();
  EXPECT_TRUE(channel->can_reseed());
  EXPECT_EQ(run_there(*channel, "echo $HOME; id -u; exit 7").out, "/root\n0\n");
  EXPECT_EQ(run_there(*channel, "exit 7").status, 7);
  EXPECT_EQ(run_there(*channel, "ls -A /dev/shm /run /tmp | grep kiln-agent").out, "");
  EXPECT_NE(run_there(*channel, "echo $SSH_CONNECTION").out, "\n") << "the environment of an ssh command";

  std::string why;
  EXPECT_FALSE(install_guest_agent(*machine.way_in, why, Deadline::in(60s), stop));
  EXPECT_THAT(why, HasSubstr("another program has /dev/virtio-ports/org.kiln.guest open"));

  std::string content(5'000'000, '\0');
  std::mt19937 random(1);
  for (auto& c : content) c = static_cast<char>(random());
  fs::path from = machine.dir.path() / "from";
  fs::create_directories(from / "sub");
  write_file_atomically(from / "sub/big", content, 0640);
  fs::create_symlink("sub/big", from / "link");
  channel->upload_tree(from, "/tmp/tree", nullptr, Deadline::in(60s), stop);
  EXPECT_EQ(run_there(*channel, "readlink /tmp/tree/link; stat -c %a /tmp/tree/sub/big").out, "sub/big\n640\n");
  std::string back;
  channel->download("/tmp/tree/link", [&](std::string_view b) { back += b; }, Deadline::in(60s), stop);
  EXPECT_TRUE(back == content);

  auto time = std::chrono::system_clock::from_time_t(1'900'000'000);
  EXPECT_TRUE(channel->reseed(random_bytes(64), time, Deadline::in(60s), stop));
  EXPECT_EQ(run_there(*channel, "date +%s").out.substr(0, 7), "1900000");

  channel->disconnect();
  EXPECT_EQ(run_there(*channel, "echo again").out, "again\n");
  Stop giving_up;
  Error e = error_of([&] {
    channel->run("echo begun; sleep 1000", [&](std::string_view) { giving_up.request(); }, nullptr, Deadline::in(60s),
                 giving_up);
  });
  EXPECT_EQ(e.kind(), ErrorKind::cancelled);
  EXPECT_EQ(run_there(*channel, "pidof sleep").out, "");

  channel->quit_agent(Deadline::in(60s), stop);
  EXPECT_EQ(run_there(*machine.way_in, "ls -l /proc/*/exe 2>/dev/null | grep kiln-agent").out, "");
  channel = machine.installed();
  EXPECT_EQ(run_there(*channel, "poweroff -f", Deadline::in(60s)).status, disconnected_status);
}

TEST_F(VmGuestChannel, AMachineWithoutThePortIsRefusedWithTheReason) {
  TestMachine machine({}, false);
  std::string why;
  EXPECT_FALSE(install_guest_agent(machine.wait_for_ssh(), why, Deadline::in(60s), stop));
  EXPECT_EQ(why, "the machine has no virtio port named org.kiln.guest");
  auto other = machine.ssh("PATH=/nowhere; uname() { [ $1 = -s ] && echo Linux || echo riscv64; }; export -f uname; ");
  EXPECT_FALSE(install_guest_agent(other, why, Deadline::in(60s), stop));
  EXPECT_NE(why, "");
  EXPECT_EQ(connect_guest_channel(machine.socket, Deadline::in(200ms), stop), nullptr);
}

// Two forks of one state, taken while a command was talking: both answer, and draw different random bytes.
TEST_F(VmGuestChannel, ForksOfAStateAnswerAndAreNotTheSame) {
  TempDir dir;
  fs::path state = dir.path() / "state";
  {
    TestMachine machine;
    auto channel = machine.installed();
    std::thread talking([&] {
      size_t heard = 0;
      try {
        channel->run("yes a line of the state", [&](std::string_view b) { heard += b.size(); }, nullptr,
                     Deadline::in(180s), stop);
      } catch (const Error&) {
      }
      EXPECT_GT(heard, 0U);
    });
    sleep_for(500ms, stop);
    machine.freeze(state);
    talking.join();
  }
  std::vector<std::string> drawn;
  for (int fork = 0; fork < 2; ++fork) {
    auto begin = Clock::now();
    TestMachine machine(state);
    auto channel = machine.connected();
    auto answered = Clock::now();
    EXPECT_TRUE(channel->reseed(random_bytes(64), std::chrono::system_clock::now(), Deadline::in(60s), stop));
    drawn.push_back(run_there(*channel, "head -c 16 /dev/urandom").out);
    auto ran = Clock::now();
    RecordProperty(fmt::format("fork_{}_answers_ms", fork), static_cast<int>((answered - begin) / 1ms));
    RecordProperty(fmt::format("fork_{}_ran_ms", fork), static_cast<int>((ran - begin) / 1ms));
    EXPECT_EQ(run_there(*channel, "pidof yes").out, "") << "the command of the session before is gone";
  }
  EXPECT_EQ(drawn[0].size(), 16U);
  EXPECT_NE(drawn[0], drawn[1]);
}

}  // namespace
}  // namespace kiln
