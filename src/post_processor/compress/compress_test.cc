#include "post_processor/compress/compress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"
#include "kit/test_stage.h"
#include "post_processor/compress/container.h"
#include "post_processor/compress/format.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;
using Container = CompressFormat::Container;

TEST(CompressFormat, FollowsPackersExtensions) {
  auto is = [](const std::string& output, Container container, Codec codec, const std::string& format = "") {
    auto chosen = choose_compress_format(output, format);
    return chosen.container == container && chosen.codec == codec;
  };
  EXPECT_TRUE(is("packer_a_b", Container::tar, Codec::gzip));
  EXPECT_TRUE(is("x.foo", Container::tar, Codec::gzip));
  EXPECT_TRUE(is("x.tgz", Container::tar, Codec::gzip));
  EXPECT_TRUE(is("dir.tar/x.gz", Container::none, Codec::gzip));
  EXPECT_TRUE(is("x.tar.gz", Container::tar, Codec::gzip));
  EXPECT_TRUE(is("x.tar", Container::tar, Codec::none));
  EXPECT_TRUE(is("x.zip", Container::zip, Codec::none));
  EXPECT_TRUE(is("x.tar.xz", Container::tar, Codec::xz));
  EXPECT_TRUE(is("x.bz2", Container::none, Codec::bzip2));
  EXPECT_TRUE(is("x.zst", Container::none, Codec::zstd));
  EXPECT_TRUE(is("x", Container::zip, Codec::none, "zip"));
  EXPECT_TRUE(is("x", Container::tar, Codec::lz4, ".tar.lz4"));
}

struct CompressRun {
  CompressRun() {
    root = stage.directory.path();
    write_file_atomically(root / "a.txt", "hello\n");
    std::string big;
    for (int i = 0; i < 150000; ++i) big += "line " + std::to_string(i * 7919) + "\n";
    write_file_atomically(root / "big.img", big);
    artifact.files = {(root / "a.txt").string(), (root / "big.img").string()};
  }
  std::string output(const std::string& name) const { return (root / "out" / name).string(); }
  PostProcessed run(const std::string& name) {
    auto compress = compress_post_processor().make();
    stage.prepare(*compress, Value(Value::Object{{"output", output(name)}}));
    EXPECT_TRUE(stage.complaints().empty());
    return compress->run(artifact, stage.context);
  }
  /// What a tool makes of the output, in a fresh directory; empty when the tool is missing.
  std::string unpacked(std::vector<std::string> argv) {
    auto into = root / "unpacked";
    fs::remove_all(into);
    fs::create_directories(into);
    Command command{std::move(argv)};
    command.directory = into;
    auto result = kiln::run(command, Deadline::in(std::chrono::seconds(30)), Stop());
    EXPECT_LE(result.status.code, 1) << result.err;  // unzip's 1: it made a path relative
    return into.string();
  }
  bool same(const std::string& into) const {
    for (const auto& file : artifact.files) {
      if (read_file(into + file) != read_file(file)) return false;
    }
    return true;
  }
  TestStage stage;
  Artifact artifact;
  fs::path root;
};

TEST(Compress, TarsAreReadByTar) {
  struct Kind {
    const char* name;
    const char* flag;
    const char* tool;
  };
  for (const Kind& kind :
       {Kind{"x.tar", "-f", "tar"}, Kind{"x.tar.gz", "-zf", "gzip"}, Kind{"x.tar.xz", "-Jf", "xz"},
        Kind{"x.tar.bz2", "-jf", "bzip2"}, Kind{"x.tar.zst", "--zstd", "zstd"}}) {
    if (!find_program("tar") || !find_program(kind.tool)) continue;
    CompressRun compress;
    compress.run(kind.name);
    std::vector<std::string> argv = {"tar", "-x", kind.flag};
    if (kind.flag == std::string("--zstd")) argv.push_back("-f");
    argv.push_back(compress.output(kind.name));
    EXPECT_TRUE(compress.same(compress.unpacked(argv))) << kind.name;
  }
}

TEST(Compress, ZipsAreReadByUnzip) {
  if (!find_program("unzip")) GTEST_SKIP() << "unzip is not installed";
  CompressRun compress;
  compress.run("x.zip");
  run_checked({{"unzip", "-t", compress.output("x.zip")}}, Deadline::in(std::chrono::seconds(30)), Stop());
  EXPECT_TRUE(compress.same(compress.unpacked({"unzip", "-q", compress.output("x.zip")}) + "/"));
}

TEST(Compress, OneFileIsCompressedAsItIs) {
  CompressRun compress;
  compress.artifact.files = {compress.artifact.files[1]};
  auto result = compress.run("big.gz");
  std::string out = run_checked({{"gunzip", "-c", compress.output("big.gz")}},
                                Deadline::in(std::chrono::seconds(30)), Stop());
  EXPECT_TRUE(out == read_file(compress.artifact.files[0]));
  EXPECT_EQ(result.artifact->description, "compressed artifacts in: " + compress.output("big.gz"));
  EXPECT_EQ(result.artifact->builder_id, "packer.post-processor.compress");
  EXPECT_THAT(result.artifact->files, ElementsAre(compress.output("big.gz")));
  EXPECT_FALSE(result.keep_input);
  auto lines = compress.stage.lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], StartsWith("say: Using pgzip compression with "));
  EXPECT_EQ(lines[1], "say: Archiving " + compress.artifact.files[0] + " with pgzip");
  EXPECT_EQ(lines[2], "say: Archive " + compress.output("big.gz") + " completed");
}

TEST(Compress, ManyFilesNeedAContainer) {
  CompressRun compress;
  try {
    compress.run("x.gz");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.message(),
                StartsWith("Can only have 1 input file when not using tar/zip. Found 2 files: [/"));
  }
}

TEST(Compress, NothingHalfDoneIsLeft) {
  CompressRun compress;
  compress.artifact.files.push_back("/no/such/file");
  EXPECT_THROW(compress.run("x.tar.gz"), Error);
  EXPECT_TRUE(fs::is_empty(compress.root / "out"));
  EXPECT_TRUE(compress.stage.journal.live.empty());
  CompressRun stopped;
  stopped.stage.stop.request("interrupted");
  EXPECT_THROW(stopped.run("x.zip"), Error);
  EXPECT_TRUE(fs::is_empty(stopped.root / "out"));
}

TEST(Compress, ShowsProgress) {
  CompressRun compress;
  compress.run("x.zip");
  auto events = compress.stage.own_sink.events();
  auto last = std::find_if(events.rbegin(), events.rend(),
                           [](const Event& e) { return e.kind == EventKind::progress; });
  ASSERT_NE(last, events.rend());
  EXPECT_EQ(last->done, last->total);
  EXPECT_EQ(last->text, "x.zip");
}

}  // namespace
}  // namespace kiln
