#include "kit/http_directory.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

namespace kiln {
namespace {

std::string header(const HttpAnswer& answer, const std::string& name) {
  for (const auto& [key, value] : answer.headers) {
    if (key == name) return value;
  }
  return "";
}

HttpAnswer get(const HttpSite& site, const std::string& path, const std::string& headers = "") {
  return answer_http(site, "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + headers);
}

struct Site : testing::Test {
  TempDir directory;
  HttpSite site;
  void SetUp() override {
    site.directory = directory.path() / "www";
    fs::create_directories(site.directory / "sub" / "with index");
    write_file_atomically(site.directory / "preseed.cfg", "0123456789");
    write_file_atomically(site.directory / "sub" / "a&b.txt", "x");
    write_file_atomically(site.directory / "sub" / "with index" / "index.html", "<p>");
    write_file_atomically(directory.path() / "secret", "s");
  }
};
using HttpDirectory = Site;

TEST_F(HttpDirectory, Files) {
  auto answer = get(site, "/preseed.cfg?x=1");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.file, site.directory / "preseed.cfg");
  EXPECT_EQ(answer.length, 10U);
  EXPECT_EQ(header(answer, "Accept-Ranges"), "bytes");
  EXPECT_EQ(get(site, "/sub/a%26b.txt").status, 200);
  EXPECT_EQ(get(site, "/preseed.cfg", "If-Modified-Since: " + header(answer, "Last-Modified") + "\r\n").status, 304);
  EXPECT_EQ(get(site, "http://host:1/preseed.cfg").status, 200);
}

TEST_F(HttpDirectory, Ranges) {
  auto range = [&](const std::string& text) { return get(site, "/preseed.cfg", "range: bytes=" + text + "\r\n"); };
  auto answer = range("2-5");
  EXPECT_EQ(answer.status, 206);
  EXPECT_EQ(answer.offset, 2U);
  EXPECT_EQ(answer.length, 4U);
  EXPECT_EQ(header(answer, "Content-Range"), "bytes 2-5/10");
  EXPECT_EQ(range("8-").length, 2U);
  EXPECT_EQ(range("-3").offset, 7U);
  EXPECT_EQ(range("0-99").length, 10U);
  EXPECT_EQ(range("10-").status, 416);
  EXPECT_EQ(header(range("10-"), "Content-Range"), "bytes */10");
  EXPECT_EQ(range("1-2,4-5").status, 200);
  EXPECT_EQ(range("x").status, 200);
}

TEST_F(HttpDirectory, DirectoriesAndIndexes) {
  EXPECT_EQ(get(site, "/sub").status, 301);
  EXPECT_EQ(header(get(site, "/sub"), "Location"), "sub/");
  auto listing = get(site, "/sub/");
  EXPECT_EQ(listing.status, 200);
  EXPECT_TRUE(contains(listing.body, "<a href=\"a&amp;b.txt\">a&amp;b.txt</a>")) << listing.body;
  EXPECT_TRUE(contains(listing.body, "<a href=\"with%20index/\">with index/</a>")) << listing.body;
  EXPECT_EQ(get(site, "/sub/with%20index/").file.filename(), "index.html");
  EXPECT_EQ(header(get(site, "/sub/with%20index/index.html"), "Location"), "./");
  EXPECT_EQ(get(site, "/preseed.cfg/").status, 301);
}

TEST_F(HttpDirectory, NothingOutside) {
  for (const auto* path : {"/../secret", "/%2e%2e/secret", "/sub/../../secret", "/..", "/x/../../secret"}) {
    auto answer = get(site, path);
    EXPECT_TRUE(answer.status == 404 || answer.status == 400) << path << " " << answer.status;
    EXPECT_TRUE(answer.file.empty()) << path;
  }
  EXPECT_EQ(get(site, "/no").status, 404);
}

TEST_F(HttpDirectory, BadRequests) {
  EXPECT_EQ(answer_http(site, "POST / HTTP/1.1\r\n").status, 405);
  EXPECT_EQ(answer_http(site, "GET\r\n").status, 400);
  EXPECT_EQ(answer_http(site, "GET /%zz HTTP/1.1\r\n").status, 400);
  EXPECT_EQ(answer_http(site, "GET /%00 HTTP/1.1\r\n").status, 400);
}

TEST(HttpContent, TextsByPath) {
  HttpSite site;
  site.content = {{"/preseed.cfg", "text"}};
  EXPECT_EQ(get(site, "/preseed.cfg").body, "text");
  auto missing = get(site, "/presed.cfg");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.body, "/presed.cfg not found. Did you mean \"/preseed.cfg\"?\n");
}

TEST(HttpContent, IsRenderedForTheRun) {
  HttpConfig http;
  http.http_content = {{"/k", "{{ .SSHPublicKey | urlquery }}"}};
  Value dot = Value::empty_object();
  dot.set("SSHPublicKey", "ssh-rsa A+B");
  EXPECT_EQ(make_http_site(http, TemplateScope{}, dot).content["/k"], "ssh-rsa+A%2BB");
}

TEST_F(HttpDirectory, TheServerAnswersRealClients) {
  std::string big(3'000'000, 'b');
  write_file_atomically(site.directory / "big", big);
  HttpServer server(site, "127.0.0.1", 20000, 30000);
  EXPECT_GE(server.port(), 20000);
  EXPECT_LT(server.port(), 30000);
  std::string base = "http://127.0.0.1:" + std::to_string(server.port());
  auto curl = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"curl", "-sS"});
    return run_checked({arguments}, Deadline::in(std::chrono::seconds(20)), Stop());
  };
  if (!find_program("curl")) GTEST_SKIP() << "curl is not installed";
  EXPECT_EQ(curl({base + "/preseed.cfg", base + "/preseed.cfg"}), "01234567890123456789");
  EXPECT_EQ(curl({base + "/big"}), big);
  EXPECT_EQ(curl({"-r", "3-4", base + "/preseed.cfg"}), "34");
  EXPECT_EQ(curl({"-0", base + "/preseed.cfg"}), "0123456789");
  EXPECT_TRUE(contains(curl({"-I", base + "/big"}), "Content-Length: 3000000"));
  EXPECT_TRUE(contains(curl({"-d", "x=1", "-i", base + "/big"}), "405"));
  auto log = server.take_log();
  ASSERT_FALSE(log.empty());
  EXPECT_EQ(log[0], "GET /preseed.cfg 200");
}

TEST(HttpServer, ManySlowClientsAtOnce) {
  HttpSite site;
  site.content = {{"/a", std::string(200'000, 'a')}};
  HttpServer server(site, "127.0.0.1", 20000, 30000);
  if (!find_program("curl")) GTEST_SKIP() << "curl is not installed";
  std::string url = "http://127.0.0.1:" + std::to_string(server.port()) + "/a";
  std::vector<Process> clients;
  clients.reserve(10);
  for (int i = 0; i < 10; ++i) {
    clients.push_back(Process::start({{"curl", "-sSf", "--limit-rate", "1M", "-o", "/dev/null", url}},
                                     {.in = Process::Stdio::null}));
  }
  for (auto& client : clients) {
    auto status = client.wait(Deadline::in(std::chrono::seconds(20)), Stop());
    ASSERT_TRUE(status.has_value());
    EXPECT_EQ(status->code, 0);
  }
}

TEST(HttpServer, PortsAreHeldAndRangesObeyed) {
  HttpServer first({}, "127.0.0.1", 20000, 30000);
  EXPECT_THROW(HttpServer({}, "127.0.0.1", first.port(), first.port()), Error);
  EXPECT_THROW(HttpServer({}, "nowhere", 20000, 30000), Error);
}

TEST(HttpConfig, Mistakes) {
  auto complaints = [](HttpConfig http) {
    Diagnostics diagnostics;
    prepare_http(Value::empty_object(), http, TemplateScope{}, diagnostics);
    std::vector<std::string> out;
    for (const auto& item : diagnostics.items()) out.push_back(item.summary);
    return join(out, "\n");
  };
  EXPECT_EQ(complaints({}), "");
  EXPECT_EQ(complaints({.http_port_min = 9, .http_port_max = 8}), "http_port_min must be less than http_port_max");
  EXPECT_TRUE(contains(complaints({.http_directory = "/no/such"}), "no such file or directory")) << "a warning";
  EXPECT_TRUE(
      contains(complaints({.http_directory = "/", .http_content = {{"/a", "b"}}}), "http_content cannot be used"));
  EXPECT_TRUE(
      contains(complaints({.http_bind_address = "127.0.0.1", .http_interface = "lo"}), "either http_interface"));
}

TEST(HttpListenAddress, FollowsTheOptions) {
  EXPECT_EQ(http_listen_address({}, "127.0.0.1"), "127.0.0.1");
  EXPECT_EQ(http_listen_address({.http_bind_address = "0.0.0.0"}, "127.0.0.1"), "0.0.0.0");
  EXPECT_EQ(http_listen_address({.http_interface = "lo"}, "x"), "127.0.0.1");
  EXPECT_THROW(http_listen_address({.http_interface = "nonesuch0"}, "x"), Error);
}

}  // namespace
}  // namespace kiln
