#include "tester/drift/drift.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/host_communicator.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct DriftStage {
  TestStage stage;
  HostCommunicator host;
  Artifact artifact;
  std::unique_ptr<Tester> tester = drift_tester().make();
  fs::path directory = stage.directory.path() / "recipes";

  CheckResult run(Value::Object config) {
    config.push_back({"remote_folder", stage.directory.path().string(), {}});
    stage.prepare(*tester, Value(std::move(config)));
    EXPECT_EQ(render_diagnostics(stage.diagnostics), "");
    auto report = tester->run({host, Value::empty_object(), artifact, {}}, stage.context);
    EXPECT_EQ(report.checks.size(), 1u);
    return report.checks.at(0);
  }
  std::vector<std::string> judge(Value::Object config) {
    stage.prepare(*tester, Value(std::move(config)));
    return stage.complaints();
  }
};

TEST(Drift, NothingToChangePasses) {
  DriftStage drift;
  auto check = drift.run({{"command", "echo \"INFO : Starting $WHAT\"; echo all is well >&2"},
                          {"env", Value(Value::Object{{"WHAT", "it's"}})}});
  EXPECT_EQ(check.status, CheckStatus::passed);
  EXPECT_THAT(check.name, HasSubstr("echo"));
}

TEST(Drift, AChangeFailsAndIsShown) {
  DriftStage drift;
  auto check = drift.run({{"command",
                           "printf '\\033[32m INFO :   file[/x] mode will be '; echo \"'0600'\"; "
                           "echo \" INFO :   file[/x] exist will change from 'false' to 'true'\"; echo fine"}});
  EXPECT_EQ(check.status, CheckStatus::failed);
  EXPECT_EQ(check.found, "2 changes");
  EXPECT_EQ(check.message, "INFO :   file[/x] mode will be '0600'\nINFO :   file[/x] exist will change from 'false' to 'true'");
}

TEST(Drift, AnotherToolsWords) {
  DriftStage drift;
  auto check = drift.run({{"command", "echo 'changed: [host]'"}, {"changed_pattern", "^changed:"}});
  EXPECT_EQ(check.found, "1 change");
}

TEST(Drift, AFailingCommandFails) {
  DriftStage drift;
  auto check = drift.run({{"command", "echo why; exit 4"}});
  EXPECT_EQ(check.found, "exit status 4");
  EXPECT_EQ(check.message, "why");
  DriftStage missing;
  EXPECT_THAT(missing.run({{"command", "no-such-program"}}).message, HasSubstr("the command is not in the machine"));
}

TEST(Drift, ItamaesDryRun) {
  if (!find_program("itamae")) GTEST_SKIP() << "no itamae here";
  DriftStage drift;
  fs::create_directories(drift.directory);
  std::string made = (drift.stage.directory.path() / "made").string();
  write_file_atomically(drift.directory / "r.rb", "file '" + made + "' do\n  content node[:text]\nend\n");
  write_file_atomically(drift.directory / "n.json", "{\"text\": \"x\"}");
  Value::Object config{{"recipe", "r.rb"}, {"node_json", "n.json"}, {"directory", drift.directory.string()}};
  auto changed = drift.run(config);
  EXPECT_EQ(changed.status, CheckStatus::failed);
  EXPECT_THAT(changed.message, HasSubstr("exist will change from 'false' to 'true'"));
  write_file_atomically(made, "x");
  EXPECT_EQ(drift.run(config).status, CheckStatus::passed);
}

TEST(Drift, ReportsMistakes) {
  EXPECT_THAT(DriftStage().judge({}), ElementsAre("One of command and recipe says what to run"));
  EXPECT_THAT(DriftStage().judge({{"command", "x"}, {"node_json", "n"}, {"changed_pattern", "("}}),
              ElementsAre("node_json belongs to a recipe", HasSubstr("changed_pattern: error parsing regexp")));
  EXPECT_THAT(DriftStage().judge({{"recipe", "nope.rb"}, {"directory", "/etc"}}), ElementsAre("nope.rb is not in /etc"));
}

}  // namespace
}  // namespace kiln
