#include "tester/goss/verdict.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "lang/yaml.h"
#include "tester/goss/matcher.h"

namespace kiln {
namespace {

using ::testing::HasSubstr;

GossResource resource_of(const std::string& yaml) {
  Diagnostics diagnostics;
  auto file = std::make_shared<SourceFile>(SourceFile{"goss.yaml", yaml});
  auto document = decode_goss(parse_yaml(file, diagnostics), diagnostics);
  EXPECT_EQ(render_diagnostics(diagnostics), "");
  return document.resources.at(0);
}

std::string found(const std::string& yaml, const std::string& attribute, const GossRecord& record,
                  const GossRecord& machine = {}) {
  GossFound out = find_goss_attribute(resource_of(yaml), attribute, record, machine);
  return out.error.empty() ? goss_shown(out.value) : "error: " + out.error;
}

TEST(GossVerdict, Packages) {
  std::string yaml = "package: {a: {installed: true}}";
  EXPECT_EQ(
      found(yaml, "versions", {{"dpkg", "install ok installed 1.2-3\ndeinstall ok config-files 1.1\n"}}),
      "[\"1.2-3\"]");
  EXPECT_EQ(found(yaml, "versions", {{"rpm", "1:2.3-4.el9\n"}}), "[\"1:2.3-4.el9\"]");
  EXPECT_EQ(found(yaml, "versions", {{"apk", "Installed:      Available:\na-1.2.4-r2   = 1.2.4-r2 \n"}}),
            "[\"1.2.4-r2\"]");
  EXPECT_EQ(found(yaml, "installed", {{"pacman", "a 5.1-1\n"}}), "true");
  EXPECT_EQ(found(yaml, "installed", {{"dpkg", ""}}), "false");
  EXPECT_EQ(found(yaml, "versions", {{"dpkg", ""}}), "error: Package version not found");
  EXPECT_EQ(found(yaml, "installed", {{"error", "none of them"}}), "error: none of them");
}

TEST(GossVerdict, FilesWithoutStat) {
  std::string yaml = "file: {/x: {exists: true}}";
  GossRecord record{{"exists", "true"}, {"ls", "-rwsr-xr-t    1 0        7           123 Jan  1 00:00 /x\n"}};
  EXPECT_EQ(found(yaml, "mode", record), "5755");
  EXPECT_EQ(found(yaml, "size", record), "123");
  EXPECT_EQ(found(yaml, "gid", record), "7");
  EXPECT_EQ(found(yaml, "filetype", {{"exists", "true"}, {"ls", "drwxr-xr-x 2 0 0 40 Jan 1 00:00 /x"}}),
            "directory");
}

TEST(GossVerdict, Ports) {
  GossRecord machine{
      {"tcp",
       "  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A 0\n   1: 0100007F:1F91 "
       "00000000:0000 01 0\n"},
      {"tcp6",
       "h\n 0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0\n"
       " 1: 00000000000000000000000001000000:0017 00000000000000000000000000000000:0000 0A 0\n"},
      {"udp", "h\n 0: 00000000:0044 00000000:0000 07 0\n"}};
  EXPECT_EQ(found("port: {'tcp:8080': {listening: true}}", "ip", {}, machine), "[\"127.0.0.1\"]");
  EXPECT_EQ(found("port: {8080: {listening: true}}", "listening", {}, machine), "true");
  EXPECT_EQ(found("port: {'tcp:8081': {listening: true}}", "listening", {}, machine), "false");
  EXPECT_EQ(found("port: {'tcp6:22': {listening: true}}", "ip", {}, machine), "[\"::\"]");
  EXPECT_EQ(found("port: {'tcp6:23': {listening: true}}", "ip", {}, machine), "[\"::1\"]");
  EXPECT_EQ(found("port: {'udp:68': {listening: true}}", "ip", {}, machine), "[\"0.0.0.0\"]");
}

TEST(GossVerdict, Http) {
  std::string yaml = "http: {'http://x/': {status: 200}}";
  GossRecord curl{{"curl", "200"},
                  {"failed", ""},
                  {"headers",
                   "HTTP/1.1 301 Moved\r\nlocation: /y\r\n\r\nHTTP/1.1 200 OK\r\nx-b: 2\r\ncontent-type: "
                   "text/plain\r\n\r\n"},
                  {"body", "hello"}};
  EXPECT_EQ(found(yaml, "status", curl), "200");
  EXPECT_EQ(found(yaml, "headers", curl), "Content-Type: text/plain\nX-B: 2");
  EXPECT_EQ(found(yaml, "body", curl), "hello");
  EXPECT_EQ(found(yaml, "status", {{"curl", "000"}, {"failed", "curl: (7) refused"}}),
            "error: curl: (7) refused");
  EXPECT_EQ(found(yaml, "status", {{"wget", "8"}, {"headers", "  HTTP/1.1 404 Not Found\n"}}), "404");
  EXPECT_EQ(
      found(yaml, "status", {{"wget", "1"}, {"headers", "wget: server returned error: HTTP/1.0 503 x\n"}}),
      "503");
  EXPECT_EQ(found(yaml, "status", {{"wget", "1"}, {"headers", "wget: can't connect to remote host"}}),
            "error: wget: can't connect to remote host");
}

TEST(GossVerdict, NamesAndInterfaces) {
  EXPECT_EQ(found("dns: {a: {resolvable: true}}", "addrs",
                  {{"getent", "10.0.0.1  STREAM a\n10.0.0.1  DGRAM\n::1 x\n"}}),
            "[\"10.0.0.1\",\"::1\"]");
  EXPECT_EQ(
      found("dns: {a: {resolvable: true}}", "addrs",
            {{"nslookup", "Server:\t10.0.2.3\nAddress:\t10.0.2.3:53\n\nName:\ta\nAddress: 10.1.1.1\n"}}),
      "[\"10.1.1.1\"]");
  EXPECT_EQ(found("dns: {a: {resolvable: true}}", "addrs",
                  {{"hosts", "127.0.0.1 localhost a # b\n::1 a\n10.0.0.9 b\n"},
                   {"nslookup", "Name: a\nAddress: 10.1.1.1\n"}}),
            "[\"127.0.0.1\",\"::1\"]");
  EXPECT_EQ(found("dns: {a: {resolvable: true}}", "resolvable", {{"getent", ""}}), "false");
  GossRecord ifconfig{{"exists", "true"},
                      {"addrs",
                       "eth0 Link\n  inet addr:10.0.2.15  Bcast:10.0.2.255  Mask:255.255.255.0\n  inet6 "
                       "addr: fe80::1/64 Scope:Link\n"}};
  EXPECT_EQ(found("interface: {eth0: {exists: true}}", "addrs", ifconfig),
            "[\"10.0.2.15/24\",\"fe80::1/64\"]");
}

TEST(GossVerdict, ServicesByRunlevel) {
  std::string yaml = "service: {sshd: {enabled: true, running: true}}";
  GossRecord record{{"runlevels", "default\n"}, {"running", ""}};
  EXPECT_EQ(found(yaml, "enabled", record), "true");
  EXPECT_EQ(found(yaml, "runlevels", record), "[\"default\"]");
  auto results = judge_goss(resource_of(yaml), record, {});
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].status, CheckStatus::passed);
  EXPECT_EQ(results[1].status, CheckStatus::failed);
  EXPECT_EQ(results[1].place, "goss.yaml:1");
}

TEST(GossProbe, AnswersInPieces) {
  std::vector<std::string> seen;
  GossAnswers answers("N", [&](size_t index, const GossRecord& record) {
    seen.push_back(std::to_string(index));
    for (const auto& [name, text] : record) seen.push_back(fmt::format("{}={}", name, text));
  });
  std::string text =
      "noise\n@N passwd\nroot:x\n\n@N 0.a\n\n@N 0.b\ntwo\nlines\n\n@N 0.done\n\n@N 12.c\n@N no mark\n\n@N "
      "12.done\n\n@N end\n";
  for (char c : text) answers.feed(std::string_view(&c, 1));
  EXPECT_THAT(seen, ::testing::ElementsAre("0", "a=", "b=two\nlines\n", "12", "c=@N no mark\n"));
  EXPECT_TRUE(answers.complete());
  EXPECT_EQ(answers.machine().at("passwd"), "root:x\n");
}

TEST(GossProbe, SecretsAndQuotesStayWords) {
  auto resource = resource_of(
      "http: {'http://x/': {status: 200, username: u, password: \"p'\\\"w\", method: PUT, request-headers: "
      "['A: b']}}");
  std::string script = goss_script({resource}, "N");
  EXPECT_THAT(script, HasSubstr("user = \"u:p'\\\"w\"\n"));
  EXPECT_THAT(script, HasSubstr("request = \"PUT\"\n"));
  EXPECT_THAT(script, HasSubstr("header = \"A: b\"\n"));
  EXPECT_THAT(script, HasSubstr("http_of 0 'the method PUT'\n"));
  auto file = resource_of("file: {\"/a b/it's; $(x)\": {exists: true, mode: '0644'}}");
  EXPECT_THAT(goss_script({file}, "N"), HasSubstr("file 0 " + shell_quote("/a b/it's; $(x)") + " 'S'\n"));
}

TEST(GossSemver, Ranges) {
  auto satisfied = [](const char* version, const char* range) { return satisfies_semver(version, range); };
  EXPECT_EQ(satisfied("1.2.3", ">=1.2.3 <2.0.0"), true);
  EXPECT_EQ(satisfied("1.2.3", "<1.0.0 || >= 1.2.0"), true);
  EXPECT_EQ(satisfied("1.2.3-rc.1", "<1.2.3"), true);
  EXPECT_EQ(satisfied("1.2.3-rc.10", ">1.2.3-rc.9"), true);
  EXPECT_EQ(satisfied("1.2.3+build", "1.2.3"), true);
  EXPECT_EQ(satisfied("2.0.0", "1.x"), false);
  EXPECT_EQ(satisfied("2.0.0", ">1.x"), true);
  EXPECT_EQ(satisfied("1.2", ">1.0.0"), std::nullopt);
  EXPECT_EQ(satisfied("1.2.3", "~1.2.3"), std::nullopt);
}

}  // namespace
}  // namespace kiln
