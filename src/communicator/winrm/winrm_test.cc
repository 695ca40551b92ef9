// Against tests/support/winrm_server.py: it speaks the protocol as clients of others do, but behind it is no
// Windows.
#include "communicator/winrm/winrm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "communicator/winrm/transfer.h"
#include "core/journal.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct NoJournal : Journal {
  Resource append(ResourceKind, const std::string&, const std::string&) override { return {}; }
  void remove(int64_t) override {}
  void take_over(int64_t) override {}
  std::vector<Resource> all() override { return {}; }
};

struct Said : EventSink {
  void emit(const Event& event) override { lines.push_back(event.text); }
  std::vector<std::string> lines;
};

/// The server, which ends with the object.
class WinrmServer {
 public:
  explicit WinrmServer(const std::string& rules = "[]", const std::vector<std::string>& more = {}) {
    write_file_atomically(dir_.path() / "rules", rules);
    const std::string server = KILN_SOURCE_DIR "/tests/support/winrm_server.py";
    std::vector<std::string> argv = {"python3",  server,
                                     "--rules",  (dir_.path() / "rules").string(),
                                     "--record", record().string()};
    argv.insert(argv.end(), more.begin(), more.end());
    Process::Streams streams;
    streams.in = streams.out = Process::Stdio::pipe;
    process_.emplace(Process::start({argv}, streams));
    char line[16] = {};
    if (wait(process_->out().get(), POLLIN, Deadline::in(20s), Stop()) == Woke::deadline ||
        ::read(process_->out().get(), line, sizeof line - 1) <= 0) {
      throw Error(ErrorKind::environment, "winrm_server.py did not start");
    }
    port = std::atoi(line);
  }
  fs::path record() const { return dir_.path() / "record"; }
  int port = 0;

 private:
  TempDir dir_;
  std::optional<Process> process_;
};

struct WinrmStage {
  TempDir dir;
  Said said;
  BuildInfo build;
  Undo undo;
  NoJournal journal;
  Log log;
  Stop stop;
  StageContext context{build,
                       Ui(said, "x"),
                       stop,
                       undo,
                       journal,
                       log,
                       dir.path(),
                       {},
                       [](const std::string&, const std::function<void()>& body) { body(); }};

  std::unique_ptr<Communicator> connect(int port, const std::function<void(WinrmSettings&)>& change = {}) {
    WinrmSettings settings;
    settings.endpoint.host = "127.0.0.1";
    settings.endpoint.user = "vagrant";
    settings.endpoint.password = "secret";
    settings.timeout = 20s;
    settings.retry_pause = 100ms;
    if (change) change(settings);
    return connect_winrm(
        settings,
        [port] {
          return WinrmTarget{"127.0.0.1", port};
        },
        context);
  }
};

struct Ran {
  int status = 0;
  std::string out, err;
};

Ran run(Communicator& communicator, const std::string& command, const Deadline& deadline = Deadline::in(20s),
        const Stop& stop = Stop()) {
  Ran ran;
  ran.status = communicator.run(
      command, [&](std::string_view bytes) { ran.out += bytes; },
      [&](std::string_view bytes) { ran.err += bytes; }, deadline, stop);
  return ran;
}

std::string upload(Communicator& communicator, const std::string& path, const std::string& content) {
  size_t sent = 0;
  try {
    communicator.upload(
        {path, content.size(), 0644},
        [&](char* buffer, size_t size) {
          size_t count = std::min({size, content.size() - sent, size_t(10000)});
          std::copy_n(content.data() + sent, count, buffer);
          sent += count;
          return count;
        },
        Deadline::in(20s), Stop());
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

std::string download(Communicator& communicator, const std::string& path) {
  std::string got;
  communicator.download(
      path, [&](std::string_view bytes) { got += bytes; }, Deadline::in(20s), Stop());
  return got;
}

TEST(Winrm, ConnectsAndRuns) {
  WinrmServer server(R"([{"match": "^mine$", "out": "o", "err": "e", "code": 7}])");
  WinrmStage stage;
  auto machine = stage.connect(server.port);
  EXPECT_THAT(stage.said.lines, ElementsAre("Using WinRM communicator to connect: 127.0.0.1",
                                            "Waiting for WinRM to become available...", "WinRM connected.",
                                            "Connected to WinRM!"));
  Ran ran = run(*machine, "mine");
  EXPECT_EQ(ran.status, 7);
  EXPECT_EQ(ran.out, "o");
  EXPECT_EQ(ran.err, "e");
}

TEST(Winrm, WaitsThroughSilenceOfTheCommand) {
  WinrmServer server(R"([{"match": "^slow$", "sleep": 0.7, "err": "late"}])", {"--operation-timeout", "0.2"});
  WinrmStage stage;
  EXPECT_EQ(run(*stage.connect(server.port), "slow").err, "late");
}

TEST(Winrm, FilesGoThereAndBack) {
  WinrmServer server;
  WinrmStage stage;
  auto machine = stage.connect(server.port);
  std::string big;
  for (int i = 0; big.size() < 400000; ++i) big += std::to_string(i) + '\n' + '\0';
  EXPECT_EQ(upload(*machine, "c:/a/big", big), "");
  EXPECT_EQ(upload(*machine, "c:/empty", ""), "");
  EXPECT_EQ(download(*machine, "c:\\a\\big"), big);
  EXPECT_EQ(download(*machine, "c:/empty"), "");
  EXPECT_EQ(upload(*machine, "c:/protected/x", "x"), "Access to the path is denied.");
  EXPECT_EQ(upload(*machine, "c:\\x\\", "x"), "Was unable to infer file basename for upload.");
  EXPECT_THROW(download(*machine, "c:/nothing"), Error);
  EXPECT_THROW(machine->download_tree("c:/a", stage.dir.path(), Deadline::in(1s), Stop()), Error);
}

TEST(Winrm, TreesGoInOneCommand) {
  WinrmServer server;
  WinrmStage stage;
  auto machine = stage.connect(server.port);
  fs::path tree = stage.dir.path() / "tree";
  fs::create_directories(tree / "sub/empty");
  write_file_atomically(tree / "sub/b", std::string(70000, 'b'));
  write_file_atomically(tree / "a", "a");
  write_file_atomically(tree / ".DS_Store", "x");
  uint64_t last = 0;
  machine->upload_tree(
      tree, "c:/t", [&](uint64_t done, uint64_t) { last = done; }, Deadline::in(20s), Stop());
  EXPECT_EQ(last, 70001u);
  EXPECT_EQ(download(*machine, "c:/t/sub/b"), std::string(70000, 'b'));
  std::string record = read_file(server.record());
  EXPECT_THAT(record, HasSubstr("{\"directory\": \"c:/t/sub/empty\"}"));
  EXPECT_FALSE(contains(record, "DS_Store"));
}

TEST(Winrm, NtlmOverHttps) {
  TempDir dir;
  std::string key = dir.path() / "key", certificate = dir.path() / "cert";
  run_checked({{"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
                certificate, "-subj", "/CN=x"}},
              Deadline::in(30s), Stop());
  WinrmServer server("[]", {"--auth", "ntlm", "--tls", certificate, key});
  WinrmStage stage;
  auto secure = [](WinrmSettings& settings) {
    settings.endpoint.https = settings.endpoint.ntlm = true;
    settings.endpoint.insecure = true;
  };
  auto machine = stage.connect(server.port, secure);
  EXPECT_EQ(upload(*machine, "c:/a", "content"), "");
  EXPECT_EQ(download(*machine, "c:/a"), "content");
  try {
    stage.connect(server.port, [&](WinrmSettings& settings) {
      secure(settings);
      settings.endpoint.insecure = false;
      settings.timeout = 2s;
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), StartsWith("Timeout waiting for WinRM.\nSSL certificate problem"));
  }
}

TEST(Winrm, GivesUpWithTheLastReason) {
  WinrmServer server;
  WinrmStage stage;
  try {
    stage.connect(server.port, [](WinrmSettings& settings) {
      settings.endpoint.password = "wrong";
      settings.timeout = 500ms;
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::timeout);
    EXPECT_EQ(error.message(),
              "Timeout waiting for WinRM.\nhttp error 401: the machine refuses the basic log-in of vagrant");
    EXPECT_EQ(stage.said.lines.back(), error.message());
  }
}

TEST(Winrm, AnAttemptThatIsCutShortHidesNoReason) {
  WinrmServer server(R"([{"match": "WinRM connected", "out": "starting", "times": 1},
                         {"match": "WinRM connected", "sleep": 60}])");
  WinrmStage stage;
  try {
    stage.connect(server.port, [](WinrmSettings& settings) { settings.timeout = 3s; });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "Timeout waiting for WinRM.\nPowerShell does not answer yet; it said: starting");
  }
}

TEST(Winrm, ALineThatBreaksIsADisconnect) {
  WinrmServer server(R"([{"match": "^shutdown", "drop": true, "down": 0.5}])");
  WinrmStage stage;
  auto machine = stage.connect(server.port);
  EXPECT_EQ(run(*machine, "shutdown /r").status, disconnected_status);
  EXPECT_THROW(run(*machine, "echo \"early\""), Error);
  std::this_thread::sleep_for(600ms);
  EXPECT_EQ(run(*machine, "echo \"back\"").out, "back\r\n");
}

TEST(Winrm, StopAndDeadlineEndACommand) {
  WinrmServer server(R"([{"match": "^long$", "sleep": 60}])");
  WinrmStage stage;
  auto machine = stage.connect(server.port);
  auto begin = Clock::now();
  try {
    run(*machine, "long", Deadline::in(300ms));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::timeout);
  }
  Stop stop;
  std::thread later([stop] {
    std::this_thread::sleep_for(300ms);
    stop.request("enough");
  });
  try {
    run(*machine, "long", Deadline::in(30s), stop);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::cancelled);
  }
  later.join();
  EXPECT_LT(Clock::now() - begin, 5s);
  EXPECT_EQ(run(*machine, "echo \"on\"").out, "on\r\n");
}

// cmd takes lines of at most 8191 characters.
TEST(WinrmTransfer, CommandsFitALine) {
  EXPECT_LT(upload_command().size(), 8000u);
  EXPECT_LT(download_command(std::string(260, 'x')).size(), 8000u);
  EXPECT_EQ(done_digest("kiln:done ab\r\n"), "ab");
  EXPECT_EQ(done_digest("YWJj"), "");
  EXPECT_EQ(content_line("abc"), "YWJj\r\n");
}

}  // namespace
}  // namespace kiln
