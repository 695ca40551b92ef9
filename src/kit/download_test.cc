#include "kit/download.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <map>
#include <thread>

#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/process.h"
#include "base/text.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;

/// A small HTTP server on 127.0.0.1: one request a connection, ranges, and connections cut short on demand.
class TinyServer {
 public:
  TinyServer() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::listen(socket_.get(), 8);
    socklen_t size = sizeof address;
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~TinyServer() {
    stopping_ = true;
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string url(const std::string& path) const {
    return fmt::format("http://127.0.0.1:{}/{}", port_, path);
  }
  std::map<std::string, std::string> files;
  std::atomic<int> cut_short{0};  ///< so many bodies end halfway
  std::atomic<bool> hang{false};  ///< say nothing
  std::atomic<bool> no_ranges{false};
  std::vector<std::string> requests;

 private:
  void serve() {
    while (!stopping_) {
      Fd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client.is_open()) return;
      std::string head;
      while (head.find("\r\n\r\n") == std::string::npos) {
        std::string more = read_some(client.get());
        if (more.empty()) break;
        head += more;
      }
      requests.push_back(head.substr(0, head.find('\r')));
      try {
        answer(client.get(), head);
      } catch (const Error&) {  // the client went away
      }
    }
  }
  void answer(int client, const std::string& head) {
    while (hang && !stopping_) std::this_thread::sleep_for(Millis(5));
    std::string path = split(head, ' ').at(1).substr(1);
    auto file = files.find(path);
    if (file == files.end())
      return write_all(client, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    std::string body = file->second;
    std::string status = "200 OK";
    std::string extra = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n";
    if (auto range = head.find("\nRange: bytes="); range != std::string::npos && !no_ranges) {
      size_t from = std::stoul(head.substr(range + 14));
      extra += fmt::format("Content-Range: bytes {}-{}/{}\r\n", from, body.size() - 1, body.size());
      body = body.substr(from);
      status = "206 Partial Content";
      ranges += 1;
    }
    std::string sent =
        fmt::format("HTTP/1.1 {}\r\nETag: \"v1\"\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n",
                    status, extra, body.size());
    if (head.starts_with("HEAD")) return write_all(client, sent);
    bool cut = cut_short > 0 && cut_short-- > 0;
    write_all(client, sent + body.substr(0, cut ? body.size() / 2 : body.size()));
  }
  Fd socket_;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;

 public:
  std::atomic<int> ranges{0};
};

std::string sha256(const std::string& text) { return digest_hex("sha256", text); }

TEST(Download, UsesALocalFileInPlace) {
  TestStage stage;
  auto iso = stage.directory.path() / "a.iso";
  write_file_atomically(iso, "content");
  std::string sum = "sha256:" + sha256("content");
  EXPECT_EQ(download({{iso.string()}, sum}, stage.context), iso);
  std::string marked = iso.string() + "?checksum=sha256%3A" + sha256("content");
  EXPECT_THAT(stage.lines(), ElementsAre("say: Retrieving ISO", "say: Trying " + iso.string(),
                                         "say: Trying " + marked, "say: " + marked + " => " + iso.string()));
}

TEST(Download, FetchesIntoTheCacheUnderPackersName) {
  TestStage stage;
  TinyServer server;
  std::string content(300000, 'x');
  server.files["a.iso"] = content;
  DownloadRequest request{{server.url("nope.iso"), server.url("a.iso")}, sha256(content)};
  auto path = download(request, stage.context);
  EXPECT_EQ(path.filename(), digest_hex("sha1", "sha256:" + sha256(content)) + ".iso");
  EXPECT_EQ(path.parent_path(), stage.build.cache_directory);
  EXPECT_EQ(read_file(path), content);
  EXPECT_FALSE(fs::exists(path.string() + ".part"));
  auto lines = stage.lines();
  ASSERT_EQ(lines.size(), 7u);
  EXPECT_EQ(lines[3], "say: Download failed bad response code: 404");
  auto before = server.requests.size();
  EXPECT_EQ(download({{server.url("a.iso")}, sha256(content)}, stage.context), path);
  EXPECT_EQ(server.requests.size(), before) << "a verified file is not asked for again";
}

TEST(Download, WithoutChecksumAsksWhetherTheFileIsStillTheSame) {
  TestStage stage;
  TinyServer server;
  server.files["a.iso"] = "one";
  auto path = download({{server.url("a.iso")}, "none"}, stage.context);
  EXPECT_EQ(path.filename(), digest_hex("sha1", server.url("a.iso")) + ".iso");
  download({{server.url("a.iso")}, "none"}, stage.context);
  EXPECT_EQ(server.requests.size(), 2u);
  EXPECT_TRUE(server.requests[1].starts_with("HEAD"));
  server.files["a.iso"] = "three";
  download({{server.url("a.iso")}, "none"}, stage.context);
  EXPECT_EQ(read_file(path), "three");
}

TEST(Download, GoesOnWhereTheConnectionBroke) {
  TestStage stage;
  TinyServer server;
  std::string content;
  for (int i = 0; i < 50000; ++i) content += std::to_string(i);
  server.files["a.iso"] = content;
  server.cut_short = 2;
  auto path = download({{server.url("a.iso")}, sha256(content)}, stage.context);
  EXPECT_EQ(read_file(path), content);
  EXPECT_EQ(server.ranges, 2);
}

TEST(Download, AServerWithoutRangesStartsAnew) {
  TestStage stage;
  TinyServer server;
  std::string content(100000, 'y');
  server.files["a.iso"] = content;
  server.no_ranges = true;
  server.cut_short = 1;
  auto path = download({{server.url("a.iso")}, sha256(content)}, stage.context);
  EXPECT_EQ(read_file(path), content);
}

TEST(Download, NeverTakesAWrongFile) {
  TestStage stage;
  TinyServer server;
  server.files["a.iso"] = "evil";
  std::string sum = sha256("good");
  try {
    download({{server.url("a.iso")}, sum}, stage.context);
    FAIL();
  } catch (const Error& error) {
    auto target = (stage.build.cache_directory / (digest_hex("sha1", "sha256:" + sum) + ".iso")).string();
    EXPECT_EQ(error.message(), "error downloading ISO: [Checksums did not match for " + target +
                                   ".\nExpected: " + sum + "\nGot: " + sha256("evil") + "\n*sha256.digest]");
    EXPECT_FALSE(fs::exists(target));
    EXPECT_FALSE(fs::exists(target + ".part"));
  }
}

TEST(Download, ALeftoverOfAnotherFileIsNotBuiltUpon) {
  TestStage stage;
  TinyServer server;
  server.files["a.iso"] = "the right content";
  std::string sum = sha256("the right content");
  fs::create_directories(stage.build.cache_directory);
  auto target = stage.build.cache_directory / (digest_hex("sha1", "sha256:" + sum) + ".iso");
  write_file_atomically(target.string() + ".part", "WRONG");
  EXPECT_EQ(read_file(download({{server.url("a.iso")}, sum}, stage.context)), "the right content");
}

TEST(Download, UnpacksCompressedFilesAsPackerDoes) {
  TestStage stage;
  auto plain = stage.directory.path() / "r.img";
  write_file_atomically(plain, "disk image");
  run_checked({{"gzip", "-k", plain.string()}}, Deadline::in(std::chrono::seconds(10)), Stop());
  auto packed = plain.string() + ".gz";
  auto path = download({{packed}, "sha256:" + file_digest_hex("sha256", packed)}, stage.context);
  EXPECT_EQ(path.parent_path(), stage.build.cache_directory);
  EXPECT_EQ(read_file(path), "disk image");
  EXPECT_EQ(download({{packed + "?archive=false"}, "none"}, stage.context), packed);
}

TEST(Download, StopEndsAHangingTransfer) {
  TestStage stage;
  TinyServer server;
  server.hang = true;
  std::thread later([&] {
    std::this_thread::sleep_for(Millis(50));
    stage.stop.request("interrupted");
  });
  try {
    download({{server.url("a.iso")}, "none"}, stage.context);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::cancelled);
  }
  later.join();
}

TEST(Download, SaysWhatFailedInPackersWords) {
  TestStage stage;
  EXPECT_THROW(download({{"http://127.0.0.1:1/r.img", "zork://a.iso"}, "none"}, stage.context), Error);
  EXPECT_EQ(stage.lines().back(),
            "error: error downloading ISO: [Get \"http://127.0.0.1:1/r.img\": dial tcp 127.0.0.1:1: connect: "
            "connection "
            "refused error downloading 'zork://a.iso']");
}

TEST(IsoConfig, ReportsMistakesInPackersWords) {
  auto judge = [](Value::Object object) {
    TestStage stage;
    Value value(std::move(object));
    IsoConfig iso;
    DecodeContext decode{stage.build.scope, stage.diagnostics, "builder qemu"};
    iso_options().decode(value, iso, decode);
    prepare_iso(value, iso, stage.diagnostics);
    auto complaints = stage.complaints();
    return complaints.empty() ? iso.urls.at(0) + " " + iso.iso_target_extension : complaints[0];
  };
  EXPECT_EQ(judge({}), "One of iso_url or iso_urls must be specified");
  EXPECT_EQ(judge({{"iso_url", "a"}, {"iso_urls", "b"}}),
            "Only one of iso_url or iso_urls must be specified");
  EXPECT_EQ(judge({{"iso_url", "a"}}), "A checksum must be specified");
  EXPECT_EQ(
      judge({{"iso_url", "a"}, {"iso_checksum", "none"}}),
      "A checksum of 'none' was specified. Since ISO files are so big,\na checksum is highly recommended.");
  EXPECT_EQ(judge({{"iso_url", "a"}, {"iso_checksum", "md5:zz"}}),
            "invalid checksum: encoding/hex: invalid byte: U+007A 'z' in \"md5:zz\"");
  EXPECT_EQ(judge({{"iso_urls", "a,b"},
                   {"iso_checksum", "d41d8cd98f00b204e9800998ecf8427e"},
                   {"iso_target_extension", "QCOW2"}}),
            "a qcow2");
}

}  // namespace
}  // namespace kiln
