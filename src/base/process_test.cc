#include "base/process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "base/error.h"
#include "base/file.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;

Command shell(std::string script) { return {.argv = {"sh", "-c", std::move(script)}}; }

TEST(Process, captures_both_streams_and_the_status) {
  RunResult result = run(shell("echo out; echo err >&2; exit 3"), Deadline::in(10s), Stop());
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(result.status.code, 3);
}

TEST(Process, feeds_standard_input_larger_than_a_pipe) {
  std::string input(1 << 20, 'x');
  RunResult result = run({.argv = {"wc", "-c"}}, Deadline::in(10s), Stop(), input);
  EXPECT_EQ(result.out, "1048576\n");
}

TEST(Process, a_child_that_does_not_read_its_input_is_no_error) {
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_TRUE(run(shell("exit 0"), Deadline::in(10s), Stop(), std::string(1 << 20, 'x')).status.ok());
}

TEST(Process, a_missing_program_is_named) {
  try {
    run({.argv = {"no-such-program-anywhere"}}, Deadline::in(1s), Stop());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::environment);
    EXPECT_NE(error.message().find("no-such-program-anywhere"), std::string::npos);
  }
}

TEST(Process, deadline_ends_it) {
  try {
    run({.argv = {"sleep", "60"}}, Deadline::in(20ms), Stop());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::timeout);
  }
}

TEST(Process, stop_ends_it) {
  Stop stop;
  stop.request("enough");
  EXPECT_THROW(run({.argv = {"sleep", "60"}}, Deadline::in(60s), stop), Error);
}

TEST(Process, a_killing_signal_is_told_apart) {
  RunResult result = run(shell("kill -9 $$"), Deadline::in(10s), Stop());
  EXPECT_EQ(result.status.signal, SIGKILL);
  EXPECT_EQ(result.status.code, 137);
}

TEST(Process, environment_is_added_and_overridden) {
  ::setenv("KILN_TEST_A", "ours", 1);
  Command command = shell("echo $KILN_TEST_A $KILN_TEST_B");
  command.env = {{"KILN_TEST_A", "theirs"}, {"KILN_TEST_B", "b"}};
  EXPECT_EQ(run(command, Deadline::in(10s), Stop()).out, "theirs b\n");
}

TEST(Process, destructor_kills_the_whole_session) {
  pid_t pid = 0;
  {
    Command command = shell("sleep 60 & wait");
    command.new_session = true;
    Process process = Process::start(command, {});
    pid = process.pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(Process, run_checked_says_what_failed) {
  try {
    run_checked(shell("echo the reason >&2; exit 2"), Deadline::in(10s), Stop());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("exit status 2: the reason"), std::string::npos) << error.message();
  }
}

TEST(LineSplitter, cuts_at_newlines_across_feeds) {
  std::vector<std::string> lines;
  LineSplitter splitter([&](std::string_view line) { lines.emplace_back(line); });
  splitter.feed("one\r\ntw");
  splitter.feed("o\n\nlast");
  splitter.finish();
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "", "last"}));
}

}  // namespace
}  // namespace kiln
