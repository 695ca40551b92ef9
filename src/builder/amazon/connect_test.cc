// Ways into an instance that need something of the outside: Windows' password, AWS's session-manager-plugin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/process.h"
#include "builder/amazon/running.h"
#include "builder/amazon/session_manager.h"
#include "kit/test_stage.h"
#include "wire/aws_test_server.h"

namespace kiln::amazon {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

struct AmazonWayIn : testing::Test {
  std::atomic<int> asked = 0;
  std::string password_data;
  AwsTestServer server{[this](const TestHttpRequest& request) { return answer(request); }};
  TestStage stage;
  std::shared_ptr<Running> running = std::make_shared<Running>();

  void SetUp() override {
    running->access.access_key = "x";
    running->access.secret_key = "y";
    running->access.region = "eu-west-1";
    running->access.custom_endpoint_ec2 = server.url();
    running->access.aws_polling.delay_seconds = 1;
    open_client(*running, make_amazon_shared(), stage.context);
    running->instance_id = "i-1";
  }

  TestHttpAnswer answer(const TestHttpRequest& request) {
    if (request.body.starts_with("Action=GetPasswordData"))
      return {200, "<R><passwordData>\r\n" + password_data + "\r\n</passwordData></R>"};
    auto target = request.headers.find("x-amz-target");
    if (target == request.headers.end()) return {200, "<R/>"};
    if (target->second == "AmazonSSM.StartSession" && ++asked == 1) {
      return {400, R"({"__type":"TargetNotConnected","message":"i-1 is not connected."})"};
    }
    if (target->second == "AmazonSSM.StartSession")
      return {200, R"({"SessionId":"s-1","TokenValue":"secret token","StreamUrl":"wss://x"})"};
    return {200, "{}"};
  }

  void run_shell(const std::string& script) {
    run_checked({{"/bin/sh", "-ec", script}, {}, stage.directory.path()}, Deadline::in(60s), Stop());
  }
};

TEST_F(AmazonWayIn, WindowsPasswordIsDecryptedWithTheTemporaryKey) {
  run_shell(
      "openssl genrsa -traditional -out key.pem 2048 2>/dev/null && "
      "printf 'p w;d' | openssl pkeyutl -encrypt -inkey key.pem | base64 -w0 >encrypted");
  password_data = read_file(stage.directory.path() / "encrypted");
  running->private_key = read_file(stage.directory.path() / "key.pem");
  running->run.comm.communicator = "winrm";
  get_windows_password(*running, stage.context);
  EXPECT_EQ(running->windows_password, "p w;d");
}

/// Like AWS's program: listens on the port that its fifth argument names, and writes down how it was called.
const char* const fake_plugin = R"(#!/usr/bin/env python3
import json, os, socket, sys, time
if sys.argv[1:] == ["--version"]:
    print("VERSION")
    sys.exit()
port = int(json.loads(sys.argv[5])["Parameters"]["localPortNumber"][0])
with open("DIRECTORY/called", "w") as file:
    json.dump({"argv": sys.argv[1:], "environment": os.environ.get("AWS_SSM_START_SESSION_RESPONSE", "")}, file)
listener = socket.create_server(("127.0.0.1", port))
while True:
    listener.accept()
)";

struct AmazonSession : AmazonWayIn {
  void install(const std::string& version) {
    std::string text = replace_all(fake_plugin, "VERSION", version);
    fs::path bin = stage.directory.path() / "bin";
    fs::create_directories(bin);
    write_file_atomically(bin / "session-manager-plugin",
                          replace_all(text, "DIRECTORY", stage.directory.path().string()), 0755);
    path_ = get_env("PATH").value_or("");
    ::setenv("PATH", (bin.string() + ":" + path_).c_str(), 1);
  }
  void TearDown() override {
    if (!path_.empty()) ::setenv("PATH", path_.c_str(), 1);
  }
  std::string called() { return read_file(stage.directory.path() / "called"); }
  std::string path_;
};

TEST_F(AmazonSession, IsOpenedOnceTheAgentIsThereAndEndedInTheEnd) {
  install("1.2.553.0");
  int port = open_session_tunnel(running, 22, stage.context);
  EXPECT_GT(port, 0);
  EXPECT_EQ(asked, 2) << "the agent was not there at first";
  EXPECT_THAT(called(),
              HasSubstr("\"argv\": [\"AWS_SSM_START_SESSION_RESPONSE\", \"eu-west-1\", \"StartSession\", \"\""));
  EXPECT_THAT(called(), HasSubstr("secret token")) << "by the environment";
  EXPECT_EQ(stage.journal.all().size(), 1u);
  stage.undo.run(Outcome::succeeded, [](const std::string& problem) { ADD_FAILURE() << problem; });
  EXPECT_THAT(stage.journal.all(), IsEmpty());
  EXPECT_EQ(server.requests().back().headers["x-amz-target"], "AmazonSSM.TerminateSession");
}

TEST_F(AmazonSession, AnOldProgramTakesTheTokenAsAnArgument) {
  install("1.1.17.0");
  open_session_tunnel(running, 22, stage.context);
  EXPECT_THAT(called(), HasSubstr("\"environment\": \"\""));
  stage.undo.run(Outcome::succeeded, [](const std::string& problem) { ADD_FAILURE() << problem; });
}

TEST_F(AmazonSession, WithoutTheProgramItSaysSo) {
  if (find_program("session-manager-plugin")) GTEST_SKIP() << "it is installed here";
  try {
    open_session_tunnel(running, 22, stage.context);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("session-manager-plugin"));
  }
}

}  // namespace
}  // namespace kiln::amazon
