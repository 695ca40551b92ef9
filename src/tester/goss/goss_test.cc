#include "tester/goss/goss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"

#include "kit/host_communicator.h"
#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct GossStage {
  TestStage stage;
  HostCommunicator host;
  Artifact artifact;
  std::unique_ptr<Tester> tester = goss_tester().make();

  std::string write(const std::string& name, const std::string& text) {
    auto path = stage.directory.path() / name;
    fs::create_directories(path.parent_path());
    write_file_atomically(path, text);
    return path.string();
  }
  void prepare(Value::Object config) { stage.prepare(*tester, Value(std::move(config))); }
  TestReport run(Communicator* communicator = nullptr) {
    TestTarget target{communicator != nullptr ? *communicator : host, Value::empty_object(), artifact, {}};
    return tester->run(target, stage.context);
  }
  TestReport run_text(const std::string& text) {
    prepare({{"file", write("goss.yaml", text)}, {"remote_folder", stage.directory.path().string()}});
    EXPECT_THAT(stage.complaints(), IsEmpty());
    return run();
  }
  std::string diagnostics() { return render_diagnostics(stage.diagnostics); }
};

/// "File /etc/passwd exists: passed".
std::vector<std::string> verdicts(const TestReport& report) {
  std::vector<std::string> out;
  for (const auto& check : report.checks) out.push_back(check.group + " " + check.name + ": " + to_string(check.status));
  return out;
}

const CheckResult& check_named(const TestReport& report, const std::string& name) {
  for (const auto& check : report.checks) {
    if (check.group + " " + check.name == name) return check;
  }
  throw std::runtime_error("no check " + name);
}

TEST(Goss, AsksThisHost) {
  GossStage goss;
  auto report = goss.run_text(R"(
file:
  /etc/passwd: {exists: true, mode: "0644", owner: root, filetype: file, contents: ["root:", "!nobody-such", "/^root:.*:0:0:/"]}
  /no/such/file: {exists: false, mode: "0600"}
  /proc/self/exe: {exists: true, filetype: symlink}
user:
  root: {exists: true, uid: 0, gid: 0, home: /root, groups: [root]}
group:
  root: {exists: true, gid: 0}
command:
  echo hi; echo oops >&2; exit 3: {exit-status: 3, stdout: [hi], stderr: ["/^oops$/"]}
  sleep 20: {exit-status: 0, timeout: 300}
kernel-param:
  kernel.ostype: {value: Linux}
mount:
  /proc: {exists: true, filesystem: proc}
  /not-mounted: {exists: false}
process:
  no-such-process: {running: false}
)");
  EXPECT_THAT(verdicts(report),
              ElementsAre("File /etc/passwd exists: passed", "File /etc/passwd mode: passed",
                          "File /etc/passwd owner: passed", "File /etc/passwd filetype: passed",
                          "File /etc/passwd contents: passed", "File /no/such/file exists: passed",
                          "File /no/such/file mode: skipped", "File /proc/self/exe exists: passed",
                          "File /proc/self/exe filetype: passed", "User root exists: passed", "User root uid: passed",
                          "User root gid: passed", "User root home: passed", "User root groups: passed",
                          "Group root exists: passed", "Group root gid: passed",
                          "Command echo hi; echo oops >&2; exit 3 exit-status: passed",
                          "Command echo hi; echo oops >&2; exit 3 stdout: passed",
                          "Command echo hi; echo oops >&2; exit 3 stderr: passed", "Command sleep 20 exit-status: failed",
                          "KernelParam kernel.ostype value: passed", "Mount /proc exists: passed",
                          "Mount /proc filesystem: passed", "Mount /not-mounted exists: passed",
                          "Process no-such-process running: passed"));
  EXPECT_THAT(check_named(report, "Command sleep 20 exit-status").message, HasSubstr("timed out (300ms)"));
  EXPECT_FALSE(report.passed());
  size_t told = 0;
  for (const auto& event : goss.stage.own_sink.events()) told += event.kind == EventKind::check;
  EXPECT_EQ(told, report.checks.size());
  // The script is gone.
  EXPECT_THAT(glob((goss.stage.directory.path() / "kiln-ask-*").string()), IsEmpty());
}

TEST(Goss, AsksWithOneCommandWhateverTheNumber) {
  GossStage goss;
  std::string text = "file:\n";
  for (int i = 0; i < 40; ++i) text += "  /nowhere/" + std::to_string(i) + ": {exists: false}\n";
  EXPECT_TRUE(goss.run_text(text).passed());
  EXPECT_EQ(goss.host.commands.size(), 1u);
}

TEST(Goss, WorksWithBusyboxAlone) {
  auto busybox = find_program("busybox");
  if (!busybox) GTEST_SKIP() << "no busybox";
  GossStage goss;
  // A PATH with nothing but busybox's own applets.
  fs::path bin = goss.stage.directory.path() / "bin";
  fs::create_directories(bin);
  run_checked({{busybox->string(), "--install", "-s", bin.string()}}, Deadline::in(20s), Stop());
  goss.host.shell = {busybox->string(), "sh", "-c"};
  goss.host.env["PATH"] = bin.string();
  std::string file = goss.write("data", "one\ntwo\n");
  auto report = goss.run_text("file:\n  " + file + R"(:
    exists: true
    mode: "0644"
    size: 8
    owner: root
    contents: [two]
    md5: c193497a1a06b2c72230e6146ff47080
    sha256: 67e37b3bf1a5ef6ba4b0b8f2b5d4ab6f3e3a0b1f0f9e33d3a1a3a1c5e3b2b1aa
command:
  sleep 9: {exit-status: 0, timeout: 1000}
  echo $((1+1)): {exit-status: 0, stdout: ["2"]}
user:
  root: {exists: true}
)");
  auto lines = verdicts(report);
  EXPECT_THAT(lines, Contains("File " + file + " size: passed"));
  EXPECT_THAT(lines, Contains("File " + file + " mode: passed"));
  EXPECT_THAT(lines, Contains("File " + file + " contents: passed"));
  EXPECT_EQ(check_named(report, "File " + file + " md5").found.size(), 32u);
  EXPECT_EQ(check_named(report, "File " + file + " sha256").found, digest_hex("sha256", "one\ntwo\n"));
  EXPECT_THAT(lines, Contains("Command sleep 9 exit-status: failed"));
  EXPECT_THAT(lines, Contains("Command echo $((1+1)) stdout: passed"));
  EXPECT_THAT(lines, Contains("User root exists: passed"));
}

TEST(Goss, TellsWhatIsWrongWithAGossfile) {
  GossStage goss;
  std::string path = goss.write("goss.yaml", R"(file:
  /etc/passwd:
    exists: true
    ownr: root
fil:
  /x: {exists: true}
command:
  ls: {stdout: [a]}
port:
  tcp:22:
    listening: {have-prefx: a}
matching:
  m: {content: a, matches: {and: [{gt: a}, {match-regexp: "("}]}}
)");
  goss.prepare({{"file", path}});
  std::string text = goss.diagnostics();
  EXPECT_THAT(text, HasSubstr("A file has no attribute \"ownr\""));
  EXPECT_THAT(text, HasSubstr(path + ":4:5"));
  EXPECT_THAT(text, HasSubstr("Did you mean \"owner\"?"));
  EXPECT_THAT(text, HasSubstr("goss knows no resource \"fil\""));
  EXPECT_THAT(text, HasSubstr("Did you mean \"file\"?"));
  EXPECT_THAT(text, HasSubstr("Command ls lacks \"exit-status\""));
  EXPECT_THAT(text, HasSubstr("There is no matcher \"have-prefx\""));
  EXPECT_THAT(text, HasSubstr("\"gt\" takes a number, not string"));
  EXPECT_THAT(text, HasSubstr("error parsing regexp: missing )"));
}

TEST(Goss, IncludesAndTemplates) {
  GossStage goss;
  goss.write("vars.yaml", "users: [root, daemon]\nhome: /root\n");
  goss.write("d/user.yaml", "user:\n{{range .Vars.users}}  {{.}}: {exists: true}\n{{end}}");
  goss.write("d/b.yaml", "matching:\n  env: {content: '{{.Env.KIND}}', matches: {{getEnv \"NO_SUCH\" \"big\" | toLower}}}\n");
  std::string path = goss.write("goss.yaml", R"(gossfile:
  d/*.yaml: {}
  not-there.yaml: {skip: true}
user:
  root: {exists: true, home: {{.Vars.home}}}
{{if .Env.KIND | regexMatch "^b"}}
matching:
  twice: {content: "{{ .Vars.more }}", matches: {have-prefix: y}}
{{end}}
)");
  goss.prepare({{"file", path},
                {"vars", (goss.stage.directory.path() / "vars.yaml").string()},
                {"vars_inline", Value(Value::Object{{"more", "yes"}})},
                {"env", Value(Value::Object{{"KIND", "big"}})}});
  ASSERT_EQ(goss.diagnostics(), "");
  auto report = goss.run();
  EXPECT_THAT(verdicts(report), ElementsAre("User root exists: passed", "Matching twice matches: passed",
                                            "Matching env matches: passed", "User daemon exists: passed"));
}

TEST(Goss, AMistakeInATemplateHasItsText) {
  GossStage goss;
  goss.prepare({{"file", goss.write("goss.yaml", "file:\n  {{.Vars.nope}}: {exists: true}\n")}});
  EXPECT_THAT(goss.diagnostics(), HasSubstr("map has no entry for key \"nope\""));
}

TEST(Goss, RetriesUntilItPasses) {
  GossStage goss;
  std::string flag = (goss.stage.directory.path() / "flag").string();
  // The second asking finds what the first one made.
  std::string path = goss.write("goss.yaml", "command:\n  test -e " + flag + " || { touch " + flag +
                                                 "; exit 1; }: {exit-status: 0}\n");
  goss.prepare({{"file", path}, {"retry_timeout", "60s"}, {"sleep", "10ms"}});
  ASSERT_EQ(goss.diagnostics(), "");
  auto report = goss.run();
  EXPECT_TRUE(report.passed());
  EXPECT_EQ(goss.host.commands.size(), 2u);
  size_t told = 0;
  for (const auto& event : goss.stage.own_sink.events()) told += event.kind == EventKind::check;
  EXPECT_EQ(told, 1u);
}

TEST(Goss, AnAnswerThatBreaksOffIsAnError) {
  GossStage goss;
  goss.prepare({{"file", goss.write("goss.yaml", "file:\n  /x: {exists: true}\n")}});
  ScriptedCommunicator machine;
  machine.answer = [](const std::string&) { return ScriptedCommunicator::Answer{127, "", "sh: not found\n"}; };
  try {
    goss.run(&machine);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("broke off with exit status 127: sh: not found"));
  }
}

TEST(Goss, RunsItsScriptAsAsked) {
  GossStage goss;
  goss.prepare({{"file", goss.write("goss.yaml", "file:\n  /etc/passwd: {exists: true}\n")},
                {"execute_command", "FOO=bar sh {{.Path}}"},
                {"remote_folder", goss.stage.directory.path().string()}});
  EXPECT_TRUE(goss.run().passed());
  EXPECT_THAT(goss.host.commands, ElementsAre(HasSubstr("FOO=bar sh " + goss.stage.directory.path().string())));
}

// --- against goss itself, where GOSS_PEER names it ---

constexpr const char* rich_gossfile = R"GOSS(
file:
  /etc/passwd: {exists: true, mode: "0644", size: {gt: 10}, owner: root, group: root, uid: 0, gid: 0, filetype: file, contents: ["root:", "!zork", "/^ro{2}t:/"]}
  wrong mode: {path: /etc/passwd, exists: true, mode: "0600", owner: {or: [daemon, root]}, contents: [zork, "!root"]}
  numeric mode: {path: /etc/passwd, exists: true, mode: 644, filetype: {not: directory}}
  octal mode: {path: /etc/passwd, exists: true, mode: 0644}
  /etc: {exists: true, filetype: directory, contents: [x]}
  /tmp: {exists: true, mode: "1777"}
  /bin/su: {exists: true, mode: {have-prefix: "4"}}
  /proc/self/exe: {exists: true, filetype: symlink, linked-to: {not: /bin/zork}}
  /etc/mtab: {exists: true, linked-to: ../proc/self/mounts}
  /dev/null: {exists: true, filetype: character-device, mode: "0666"}
  /no/such: {exists: false, mode: "0644"}
  /no/such2: {exists: true, mode: "0644"}
  /etc/hostname: {exists: true, linked-to: x}
  /etc/group: {exists: true, md5: wrong, sha256: {match-regexp: "^[0-9a-f]{64}$"}, sha512: {have-len: 128}, contents: {contain-element: {have-prefix: "root:"}}}
  whole text: {path: /etc/group, exists: true, contents: {have-prefix: "root:"}}
  text in list: {path: /etc/group, exists: true, contents: {and: [{contain-elements: [{have-prefix: "root:"}, {have-prefix: "daemon:"}]}, {not: {contain-element: zork}}]}}
  ~/: {exists: true, filetype: directory}
  ~root: {exists: true, filetype: directory}
  skipped: {path: /x, exists: true, mode: "0", skip: true}
  escaped: {path: /etc/passwd, exists: true, contents: ["\\/bin", "\\!x", ""]}
package:
  dpkg: {installed: true, versions: {contain-element: {match-regexp: "^1"}}}
  bash: {installed: true, versions: ["0.0"]}
  no-such-package: {installed: false, versions: ["1"]}
  no-such-package-2: {installed: true}
service:
  no-such-service: {enabled: false, running: false}
  no-such-service-2: {enabled: true}
process:
  no-such-process: {running: false}
  no-such-process-2: {running: true}
port:
  tcp:1: {listening: false, ip: [127.0.0.1]}
  tcp:2: {listening: true, ip: [127.0.0.1]}
  udp:3: {listening: false}
user:
  root: {exists: true, uid: 0, gid: {lt: 1}, groups: [root], home: /root, shell: {have-suffix: sh}}
  daemon: {exists: true, uid: 1, groups: {consist-of: [daemon]}, shell: /bin/zork}
  zork: {exists: false, uid: 7}
group:
  root: {exists: true, gid: 0}
  adm: {exists: true, gid: {ge: 5}}
  zork: {exists: true, gid: 1}
command:
  echo hello; echo world: {exit-status: 0, stdout: [hello, world], stderr: []}
  echo hello: {exit-status: 0, stdout: {match-regexp: "^hel+o"}, stderr: ""}
  echo a b: {exec: "echo a b; exit 4", exit-status: 4, stdout: {equal: "a b\n"}}
  wrong: {exec: "echo x; echo y >&2", exit-status: {gt: 0}, stdout: [y], stderr: [y, "!z", "/^y$/"]}
  slow: {exec: "sleep 5", exit-status: 0, timeout: 200}
  number: {exec: "echo 42", exit-status: 0, stdout: 42}
  less: {exec: "echo 42", exit-status: 0, stdout: {lt: 43}}
  json: {exec: "echo '{\"a\": {\"b\": [1, 2, 3]}, \"c\": \"15\"}'", exit-status: 0, stdout: {gjson: {a.b.1: 2, "a.b.#": 3, c: {le: 25}, "@this": {have-key: a}}}}
  json wrong: {exec: "echo '{\"a\": 1}'", exit-status: 0, stdout: {gjson: {b: 2}}}
kernel-param:
  kernel.ostype: {value: Linux}
  kernel.pid_max: {value: {gt: 100}}
  kernel.zork: {value: "1"}
mount:
  /proc: {exists: true, filesystem: proc, opts: [rw], source: proc, usage: {le: 100}}
  /: {exists: true, filesystem: {not: proc}, usage: {lt: 101}, vfs-opts: [rw]}
interface:
  lo: {exists: true, addrs: [127.0.0.1/8], mtu: 65536}
  zork0: {exists: false, mtu: 1}
dns:
  localhost: {resolvable: true, addrs: [127.0.0.1]}
  127.0.0.1: {resolvable: true, addrs: {consist-of: [127.0.0.1]}}
addr:
  tcp://127.0.0.1:1: {reachable: false, timeout: 300}
  127.0.0.1:2: {reachable: true, timeout: 300}
matching:
  text: {content: foo, matches: foo}
  not text: {content: foo, matches: bar}
  subset: {content: [a, b, c], matches: [a, c]}
  subset wrong: {content: [a, b, c], matches: [a, b, b]}
  order: {content: [a, b], matches: {equal: [a, b]}}
  order wrong: {content: [a, b], matches: {equal: [b, a]}}
  exact: {content: [foo, bar, moo], matches: {consist-of: [foo, {have-prefix: m}, bar]}}
  exact wrong: {content: [foo, bar, moo], matches: {consist-of: [foo, bar]}}
  greedy: {content: [ab, a], matches: {consist-of: [{have-prefix: a}, ab]}}
  number as text: {content: 42, matches: {and: ["42", {have-prefix: "4"}, {match-regexp: '\d{2}'}, {contain-substring: "2"}]}}
  text as number: {content: "42", matches: {and: [42, 42.0, {gt: 40}, {lt: 45}, {ge: 42}, {le: 42}]}}
  no number: {content: x, matches: {gt: 1}}
  not no number: {content: x, matches: {not: {gt: 1}}}
  keys: {content: {foo: bar, baz: bing}, matches: {and: [{have-key: baz}, {have-len: 2}, {not: {have-key: x}}]}}
  lengths: {content: abc, matches: {have-len: 3}}
  semver: {content: [1.0.1, 1.9.9], matches: {semver-constraint: ">1.0.0 <2.0.0 !=1.5.0"}}
  semver wrong: {content: [1.0.1, 1.5.0, 1.9.9], matches: {semver-constraint: ">1.0.0 <2.0.0 !=1.5.0"}}
  semver or: {content: 1.0.1, matches: {semver-constraint: ">5.0.0 || < 1.5.0"}}
  semver x: {content: 1.2.9, matches: {semver-constraint: "1.2.x"}}
  semver pre: {content: 1.2.3-beta.2, matches: {semver-constraint: ">1.2.3-beta.1 <1.2.3"}}
  no semver: {content: 1.2, matches: {semver-constraint: ">1.0.0"}}
  lines: {content: "a\nb", matches: {contain-element: b}}
  reader: {content: "a\nb", as-reader: true, matches: [b, "!c"]}
  patterns: {content: "a\nb", matches: {have-patterns: [b, "/^a$/"]}}
  bool: {content: true, matches: true}
  bool wrong: {content: "true", matches: true}
  bool text: {content: true, matches: "true"}
  either: {content: b, matches: {or: [a, b]}}
  yes: {content: yes, matches: "yes"}
)GOSS";

TEST(Goss, MatchersMatchAsDocumented) {
  GossStage goss;
  std::string text = rich_gossfile;
  auto report = goss.run_text(text.substr(text.find("matching:")));
  EXPECT_GT(report.checks.size(), 28u);
  for (const auto& check : report.checks) {
    bool wrong = contains(check.group, " wrong") || contains(check.group, " no");
    EXPECT_EQ(check.status, wrong ? CheckStatus::failed : CheckStatus::passed) << check.group << ": " << check.message;
  }
  EXPECT_EQ(check_named(report, "Matching subset wrong matches").message, "not found: [\"b\"]");
  EXPECT_EQ(check_named(report, "Matching not text matches").expected, "bar");
  EXPECT_EQ(check_named(report, "Matching not text matches").found, "foo");
}

std::string peer_key(const std::string& type, const std::string& id, std::string property) {
  static const std::map<std::string, std::string> renamed{
      {"linkedto", "linked-to"}, {"version", "versions"}, {"Headers", "headers"}, {"Body", "body"}};
  if (auto found = renamed.find(property); found != renamed.end()) property = found->second;
  return type + " " + id.substr(0, id.find(": ")) + " " + property;
}

TEST(Goss, JudgesAsGossDoes) {
  auto peer = get_env("GOSS_PEER");
  if (!peer) GTEST_SKIP() << "skipped: GOSS_PEER does not name a goss";
  GossStage goss;
  std::string path = goss.write("goss.yaml", rich_gossfile);
  auto result = run({{*peer, "-g", path, "validate", "-f", "json"}}, Deadline::in(60s), Stop());
  auto json = nlohmann::json::parse(result.out.substr(result.out.find('{')));
  std::map<std::string, std::string> theirs, ours;
  for (const auto& one : json["results"]) {
    static constexpr const char* words[] = {"passed", "failed", "skipped"};
    theirs[peer_key(one["resource-type"], one["resource-id"], one["property"])] = words[one["result"].get<int>()];
  }
  auto report = goss.run_text(rich_gossfile);
  for (const auto& check : report.checks) ours[check.group + " " + check.name] = to_string(check.status);
  EXPECT_GT(ours.size(), 150u);
  for (const auto& [key, status] : theirs) EXPECT_EQ(ours[key], status) << key;
  for (const auto& [key, status] : ours) EXPECT_EQ(theirs.count(key), 1u) << "only we check " << key;
}

}  // namespace
}  // namespace kiln
