#include "tester/serverspec/serverspec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "communicator/ssh/servers_for_test.h"
#include "kit/host_communicator.h"
#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"
#include "tester/serverspec/results.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

bool have_serverspec() {
  return find_program("rspec") && run({{"ruby", "-e", "require 'serverspec'"}}, Deadline::in(60s), Stop()).status.ok();
}

struct SpecStage {
  TestStage stage;
  HostCommunicator host;
  Artifact artifact;
  Value build_data = Value::empty_object();
  std::unique_ptr<Tester> tester = serverspec_tester().make();
  fs::path directory = stage.directory.path() / "tests";

  void write(const std::string& name, const std::string& text) {
    fs::create_directories((directory / name).parent_path());
    write_file_atomically(directory / name, text);
  }
  void prepare(Value::Object config) {
    config.push_back({"directory", directory.string(), {}});
    config.push_back({"remote_folder", stage.directory.path().string(), {}});
    stage.prepare(*tester, Value(std::move(config)));
  }
  TestReport run(Communicator* communicator = nullptr) {
    EXPECT_EQ(render_diagnostics(stage.diagnostics), "");
    TestTarget target{communicator != nullptr ? *communicator : host, build_data, artifact, {}};
    return tester->run(target, stage.context);
  }
};

std::vector<std::string> verdicts(const TestReport& report) {
  std::vector<std::string> out;
  for (const auto& check : report.checks) out.push_back(std::string(to_string(check.status)) + " " + check.group + " | " + check.name);
  return out;
}

constexpr const char* some_specs = R"(require 'spec_helper'
puts 'noise of a spec'
describe file('/etc/passwd') do
  it { should be_file }
  it { should be_mode 600 }
  its(:content) { should match(/^root:/) }
end
describe command('echo "$COLOUR"') do
  its(:stdout) { should eq "green\n" }
  its(:exit_status) { should eq 0 }
end
describe 'later' do
  it 'is not there yet'
  it('is skipped') { skip 'for now' }
  it('equals') { expect(1).to eq(2) }
end
)";

TEST(Serverspec, InTheMachine) {
  if (!have_serverspec()) GTEST_SKIP() << "no serverspec here";
  SpecStage specs;
  specs.write("spec/spec_helper.rb", "require 'serverspec'\nset :backend, :ssh\nset :host, ENV['TARGET_HOST']\n");
  specs.write("spec/some_spec.rb", some_specs);
  specs.prepare({{"run_in", "guest"}, {"env", Value(Value::Object{{"COLOUR", "it's"}})}});
  auto report = specs.run();
  EXPECT_THAT(verdicts(report),
              ElementsAre("passed File \"/etc/passwd\" | is expected to be file",
                          "failed File \"/etc/passwd\" | is expected to be mode 600",
                          "passed File \"/etc/passwd\" content | is expected to match /^root:/",
                          "failed Command \"echo \"$COLOUR\"\" stdout | is expected to eq \"green\\n\"",
                          "passed Command \"echo \"$COLOUR\"\" exit_status | is expected to eq 0",
                          "skipped later | is not there yet", "skipped later | is skipped", "failed later | equals"));
  EXPECT_EQ(report.checks[1].place, (specs.directory / "spec/some_spec.rb").string() + ":5");
  EXPECT_THAT(report.checks[1].message, HasSubstr("/etc/passwd"));
  EXPECT_EQ(report.checks[3].expected, "\"green\\n\"");
  EXPECT_EQ(report.checks[3].found, "\"it's\\n\"");
  EXPECT_EQ(report.checks[6].message, "for now");
  EXPECT_EQ(report.checks[7].expected, "2");
  EXPECT_EQ(report.checks[7].found, "1");
  EXPECT_FALSE(report.passed());
}

TEST(Serverspec, BySshFromTheHost) {
  if (!have_serverspec()) GTEST_SKIP() << "no serverspec here";
  testing_ssh::Ground ground;
  testing_ssh::generate_key(ground.dir.path() / "rsa", "rsa");
  write_file_atomically(ground.authorized, read_file((ground.dir.path() / "rsa.pub").string()), 0600);
  testing_ssh::OpenSshd server(ground);
  SpecStage specs;
  // As serverspec-init writes it.
  specs.write("spec/spec_helper.rb", R"(require 'serverspec'
require 'net/ssh'
set :backend, :ssh
set :sudo_password, ENV['SUDO_PASSWORD']
host = ENV['TARGET_HOST']
options = Net::SSH::Config.for(host)
options[:user] ||= Etc.getlogin
set :host,        options[:host_name] || host
set :ssh_options, options
)");
  specs.write("spec/a/a_spec.rb", "require 'spec_helper'\ndescribe command('echo yes $SSH_CONNECTION') do\n"
                                  "  its(:stdout) { should match(/yes 127.0.0.1/) }\nend\n");
  // Without a helper, too, and where it asks for the host's own backend.
  specs.write("spec/b/b_spec.rb", "set :backend, :exec\ndescribe command('echo $SSH_CONNECTION') do\n"
                                  "  its(:stdout) { should match(/^127.0.0.1 /) }\nend\n");
  specs.build_data = Value(Value::Object{{"ConnType", "ssh"},
                                         {"Host", "127.0.0.1"},
                                         {"Port", server.port()},
                                         {"User", testing_ssh::me()},
                                         {"Password", ""},
                                         {"SSHPrivateKey", read_file((ground.dir.path() / "rsa").string())}});
  specs.prepare({{"specs", Value(Value::List{"spec/*/*_spec.rb"})}, {"sudo", false}});
  auto report = specs.run();
  EXPECT_THAT(verdicts(report), ElementsAre(HasSubstr("passed Command"), HasSubstr("passed Command")))
      << (report.checks.empty() ? "" : report.checks[0].message + report.checks.back().message) << server.log();
  EXPECT_THAT(specs.host.commands, IsEmpty());
}

TEST(Serverspec, WhatCannotBeLoadedIsAFailure) {
  if (!have_serverspec()) GTEST_SKIP() << "no serverspec here";
  SpecStage specs;
  specs.write("x_spec.rb", "describe 'x' do\n  raise 'broken spec'\nend\n");
  specs.prepare({{"run_in", "guest"}});
  auto report = specs.run();
  ASSERT_THAT(verdicts(report), ElementsAre("failed  | loading the specs"));
  EXPECT_THAT(report.checks[0].message, HasSubstr("broken spec"));
}

TEST(Serverspec, TellsWhatIsMissing) {
  SpecStage specs;
  specs.write("x_spec.rb", "");
  specs.prepare({{"run_in", "guest"}});
  ScriptedCommunicator machine;
  machine.answer = [](const std::string&) { return ScriptedCommunicator::Answer{127, "", ""}; };
  try {
    specs.run(&machine);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::user);
    EXPECT_THAT(error.message(), HasSubstr("rspec with serverspec is not installed in the machine"));
  }
  SpecStage wrong;
  wrong.prepare({{"run_in", "moon"}});
  EXPECT_THAT(wrong.stage.complaints(),
              ElementsAre("run_in is \"host\" or \"guest\", not \"moon\"",
                          "The directory of specs " + wrong.directory.string() + " is not there"));
}

TEST(Serverspec, AnRspecThatBreaksOffIsAnError) {
  SpecStage specs;
  specs.write("x_spec.rb", "");
  specs.prepare({{"run_in", "guest"}});
  ScriptedCommunicator machine;
  machine.answer = [](const std::string& command) {
    return contains(command, "command -v") ? ScriptedCommunicator::Answer{} : ScriptedCommunicator::Answer{1, "hm\n", "no such gem\n"};
  };
  try {
    specs.run(&machine);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("rspec ended with exit status 1 before its end: hm\nno such gem"));
  }
}

TEST(RspecReader, PassesOverWhatIsNoResult) {
  std::vector<std::string> other;
  std::vector<CheckResult> results;
  RspecReader reader("N", "d", [&](CheckResult result) { results.push_back(std::move(result)); },
                     [&](std::string_view line) { other.emplace_back(line); });
  reader.line("noise");
  reader.line("");
  reader.line("@N {broken");
  reader.line(R"(@N {"status":"passed","group":"g","name":"n","file":"a_spec.rb","line":3,"seconds":0.5,"message":null})");
  reader.line(R"(@N {"outside":0,"message":""})");
  EXPECT_FALSE(reader.complete());
  reader.line(R"(@N {"done":1})");
  EXPECT_TRUE(reader.complete());
  EXPECT_THAT(other, ElementsAre("noise", "@N {broken"));
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].place, "d/a_spec.rb:3");
  EXPECT_EQ(results[0].duration, 500ms);
}

}  // namespace
}  // namespace kiln
