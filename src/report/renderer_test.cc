#include "report/renderer.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "report/live_lines.h"
#include "report/ui_text.h"

namespace kiln {
namespace {

Event event_of(EventKind kind, std::string stage, std::string text) {
  Event event;
  event.kind = kind;
  event.stage = std::move(stage);
  event.text = std::move(text);
  return event;
}

/// Collects what a renderer writes.
struct Written {
  Pipe pipe = make_pipe();
  Redactor redactor;
  RenderOptions options;
  Written() {
    options.redactor = &redactor;
    options.fd = pipe.write.get();
    options.run_id = "run-1";
  }
  std::string text() {
    pipe.write.reset();
    std::string all;
    for (std::string part; !(part = read_some(pipe.read.get())).empty();) all += part;
    return all;
  }
};

TEST(UiText, PrefixesEveryLineOfABuildAndTrimsTheRight) {
  Event event = event_of(EventKind::say, "file.x", "a\n\n  b  \n");
  event.label = "(shell-local)";
  EXPECT_EQ(ui_line(event).text,
            "==> file.x (shell-local): a\n==> file.x (shell-local):\n==> file.x (shell-local):   b");
}

TEST(UiText, SaysHowABuildEnded) {
  Event event = event_of(EventKind::stage_finished, "null", "");
  event.duration = std::chrono::milliseconds(1500);
  EXPECT_EQ(ui_line(event).text, "Build 'null' finished after 1 second 500 milliseconds.");
  event.text = "no";
  EXPECT_EQ(ui_line(event).text, "Build 'null' errored after 1 second 500 milliseconds: no");
  EXPECT_EQ(ui_line(event).level, LineLevel::error);
}

TEST(UiText, MachineLinesAreEscapedAsPackerDoesIt) {
  EXPECT_EQ(machine_line(7, "null", "artifact", {"0", "string", "a,b\r\nc\\n"}),
            "7,null,artifact,0,string,a%!(PACKER_COMMA)b\\r\\nc\\n\n");
  EXPECT_EQ(machine_line(7, "", "version-commit", {}), "7,,version-commit,\n");
}

TEST(TerminalRenderer, AnnouncesColoursAndCyclesThem) {
  Written out;
  auto renderer = make_terminal_renderer(out.options);
  renderer->announce({"a", "b"});
  renderer->emit(event_of(EventKind::say, "b", "hello"));
  renderer->emit(event_of(EventKind::error, "b", "oh"));
  renderer->emit(event_of(EventKind::say, "", "\n==> done"));
  EXPECT_EQ(out.text(),
            "\033[1;32ma: output will be in this color.\033[0m\n\033[1;36mb: output will be in this "
            "color.\033[0m\n\n"
            "\033[1;36m==> b: hello\033[0m\n\033[1;31m==> b: oh\033[0m\n\n==> done\n");
}

TEST(TerminalRenderer, WithoutColorThereIsNoAnnouncementAndWithNoAnsiAPlainOne) {
  Written plain;
  plain.options.color = false;
  auto renderer = make_terminal_renderer(plain.options);
  renderer->announce({"a"});
  renderer->emit(event_of(EventKind::say, "a", "x"));
  EXPECT_EQ(plain.text(), "==> a: x\n");
  Written no_ansi;
  no_ansi.options.ansi = false;
  renderer = make_terminal_renderer(no_ansi.options);
  renderer->announce({"a"});
  EXPECT_EQ(no_ansi.text(), "a: output will be in this color.\n\n");
}

TEST(TerminalRenderer, MasksSecretsAndSurvivesAReaderThatLeft) {
  Written out;
  out.redactor.add("hunter2");
  auto renderer = make_terminal_renderer(out.options);
  renderer->emit(event_of(EventKind::say, "", "pw hunter2"));
  EXPECT_EQ(out.text(), "pw <sensitive>\n");
  Written gone;
  ::signal(SIGPIPE, SIG_IGN);
  renderer = make_terminal_renderer(gone.options);
  gone.pipe.read.reset();
  renderer->emit(event_of(EventKind::say, "", "x"));
  renderer->emit(event_of(EventKind::say, "", "y"));
}

TEST(MachineRenderer, UiLinesCarryThePrefixInTheTextAndNoTarget) {
  Written out;
  out.redactor.add("hunter2");
  auto renderer = make_machine_renderer(out.options);
  renderer->announce({"null"});
  Event event = event_of(EventKind::message, "null", "a,hunter2");
  event.time = std::chrono::system_clock::from_time_t(5);
  renderer->emit(event);
  event.stage.clear();
  renderer->emit(event);
  event = event_of(EventKind::machine, "null", "");
  event.time = std::chrono::system_clock::from_time_t(6);
  event.type = "artifact";
  event.data = {"0", "id", "hunter2"};
  renderer->emit(event);
  EXPECT_EQ(out.text(),
            "5,,ui,say,==> null: a%!(PACKER_COMMA)<sensitive>\n5,,ui,message,a%!(PACKER_COMMA)<sensitive>\n"
            "6,null,artifact,0,id,<sensitive>\n");
  EXPECT_THROW(renderer->ask("null", "really?", Stop()), Error);
}

TEST(NdjsonRenderer, EveryEventIsOneObjectWithRunAndBuild) {
  Written out;
  auto renderer = make_ndjson_renderer(out.options);
  renderer->announce({"null"});
  Event say = event_of(EventKind::say, "null", "caf\xc3\xa9 \xff");
  renderer->emit(say);
  Event end = event_of(EventKind::stage_finished, "null", "bad");
  end.duration = std::chrono::seconds(2);
  renderer->emit(end);
  Event progress = event_of(EventKind::progress, "null", "x.iso");
  progress.done = 5;
  renderer->emit(progress);
  auto lines = split(trim(out.text()), '\n');
  ASSERT_EQ(lines.size(), 4u);
  auto first = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(first["kind"], "run-started");
  EXPECT_EQ(first["version"], 1);
  EXPECT_EQ(first["builds"][0]["name"], "null");
  EXPECT_TRUE(first["build"].is_null());
  auto second = nlohmann::json::parse(lines[1]);
  EXPECT_EQ(second["build"], "null");
  EXPECT_EQ(second["run"], "run-1");
  EXPECT_EQ(second["text"], "caf\xc3\xa9 \xef\xbf\xbd");
  auto third = nlohmann::json::parse(lines[2]);
  EXPECT_EQ(third["error"], "bad");
  EXPECT_EQ(third["duration_ns"], 2000000000);
  EXPECT_TRUE(nlohmann::json::parse(lines[3])["total"].is_null());
}

Event check_of(std::string stage, std::string status) {
  Event event = event_of(EventKind::check, std::move(stage), "File /x mode");
  event.type = std::move(status);
  event.data = {"two\nlines", "0644", "0600", "goss.yaml:3"};
  event.duration = std::chrono::milliseconds(210);
  event.time = std::chrono::system_clock::from_time_t(7);
  return event;
}

TEST(Checks, OnATerminal) {
  Written out;
  out.redactor.add("0600");
  auto renderer = make_terminal_renderer(out.options);
  renderer->emit(check_of("", "passed"));
  renderer->emit(check_of("", "skipped"));
  renderer->emit(check_of("vm", "failed"));
  EXPECT_EQ(out.text(),
            "    ok  File /x mode (0.2 s)\n    skipped File /x mode: two\nlines\n"
            "\033[1;31m==> vm:     FAILED  File /x mode (0.2 s)\n==> vm:         expected: 0644\n"
            "==> vm:         found: <sensitive>\n==> vm:         two\n==> vm:         lines\n"
            "==> vm:         at goss.yaml:3\033[0m\n");
}

TEST(Checks, ForPrograms) {
  Written machine, json;
  make_machine_renderer(machine.options)->emit(check_of("vm", "failed"));
  EXPECT_EQ(machine.text(), "7,vm,check,failed,File /x mode,two\\nlines,0644,0600,goss.yaml:3,210000000\n");
  Event event = check_of("vm", "passed");
  event.data = {"", "", "", ""};
  make_ndjson_renderer(json.options)->emit(event);
  auto line = nlohmann::json::parse(json.text());
  EXPECT_EQ(line["kind"], "check");
  EXPECT_EQ(line["status"], "passed");
  EXPECT_EQ(line["name"], "File /x mode");
  EXPECT_TRUE(line["message"].is_null());
  EXPECT_EQ(line["duration_ns"], 210000000);
}

TEST(LiveLines, ShowStepAndProgressOfRunningBuildsOnly) {
  LiveLines lines;
  auto start = std::chrono::steady_clock::now();
  lines.note(event_of(EventKind::stage_started, "qemu", ""), start);
  lines.note(event_of(EventKind::step_started, "qemu", "StepDownload"), start);
  Event progress = event_of(EventKind::progress, "qemu", "debian.iso");
  progress.total = 100 << 20;
  lines.note(progress, start);
  progress.done = 50 << 20;
  EXPECT_TRUE(lines.note(progress, start + std::chrono::seconds(5)));
  auto drawn = lines.draw(200, start + std::chrono::seconds(65));
  ASSERT_EQ(drawn.size(), 1u);
  EXPECT_EQ(drawn[0], "qemu 1:05  StepDownload  debian.iso [##########..........]  50% 787.7 KiB/s");
  EXPECT_EQ(lines.draw(6, start)[0], "qemu …");
  lines.note(event_of(EventKind::stage_finished, "qemu", ""), start);
  EXPECT_TRUE(lines.draw(80, start).empty());
}

TEST(LiveLines, AreDrawnBelowAndTakenAway) {
  Written out;
  out.options.live = true;
  auto renderer = make_terminal_renderer(out.options);
  renderer->announce({"a"});
  renderer->emit(event_of(EventKind::stage_started, "a", ""));
  renderer->emit(event_of(EventKind::say, "a", "hi"));
  renderer->close();
  std::string text = out.text();
  EXPECT_TRUE(contains(text, "\033[2ma 0:00\033[0m\n\r\033[1A\033[J")) << text;
  EXPECT_TRUE(text.ends_with("\r\033[1A\033[J")) << text;
}

TEST(LiveLines, FitColumnsCutsAtCharacters) {
  EXPECT_EQ(fit_columns("häuser", 10), "häuser");
  EXPECT_EQ(fit_columns("häuser", 6), "häuser");
  EXPECT_EQ(fit_columns("häuser", 3), "hä…");
}

}  // namespace
}  // namespace kiln
