#include "kit/compressor.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

namespace kiln {
namespace {

struct Tool {
  Codec codec;
  const char* name;
  std::vector<std::string> unpack;
};

class CompressorWith : public ::testing::TestWithParam<Tool> {};

/// Text that compresses, and noise that does not; several blocks of every codec.
std::string sample(size_t size) {
  std::mt19937 generator(42);
  std::string out;
  while (out.size() < size) {
    if (out.size() % 7 != 0) out += "the same words again and again ";
    out += static_cast<char>(generator() & 0xff);
  }
  return out.substr(0, size);
}

std::string compress(Codec codec, int level, const std::string& input) {
  std::string out;
  FunctionSink sink([&](std::string_view bytes) { out += bytes; });
  auto compressor = make_compressor(codec, level, 2, sink);
  for (size_t at = 0; at < input.size(); at += 100000)
    compressor->write(std::string_view(input).substr(at, 100000));
  compressor->finish();
  return out;
}

TEST_P(CompressorWith, TheUsualToolReadsIt) {
  const Tool& tool = GetParam();
  if (!find_program(tool.unpack[0])) GTEST_SKIP() << tool.unpack[0] << " is not installed";
  for (size_t size : {size_t{0}, size_t{1}, size_t{1} << 20, size_t{2200000}}) {
    std::string input = sample(size);
    std::string packed = compress(tool.codec, size == 1 ? 9 : -1, input);
    auto result = run({tool.unpack}, Deadline::in(std::chrono::seconds(30)), Stop(), packed);
    EXPECT_TRUE(result.status.ok()) << tool.name << " " << size << ": " << result.err;
    EXPECT_TRUE(result.out == input) << tool.name << " " << size;
  }
}

INSTANTIATE_TEST_SUITE_P(All, CompressorWith,
                         ::testing::Values(Tool{Codec::gzip, "gzip", {"gunzip", "-c"}},
                                           Tool{Codec::bgzf, "bgzf", {"gunzip", "-c"}},
                                           Tool{Codec::bzip2, "bzip2", {"bunzip2", "-c"}},
                                           Tool{Codec::xz, "xz", {"xz", "-dc"}},
                                           Tool{Codec::zstd, "zstd", {"zstd", "-dc"}},
                                           Tool{Codec::lz4, "lz4", {"lz4", "-dc"}}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Compressor, GzipIsOneMemberAndSmall) {
  std::string input;
  for (int i = 0; i < 300000; ++i) input += "line " + std::to_string(i % 1000) + "\n";
  std::string packed = compress(Codec::gzip, -1, input);
  EXPECT_EQ(packed.find(std::string("\x1f\x8b\x08\x00\x00", 5), 1), std::string::npos);
  EXPECT_LT(packed.size(), input.size() / 20);
}

TEST(Compressor, AFullDiskComesThrough) {
  FunctionSink sink([](std::string_view) { throw Error(ErrorKind::environment, "no space left on device"); });
  auto compressor = make_compressor(Codec::lz4, -1, 2, sink);
  EXPECT_THROW(
      {
        compressor->write(std::string(9 << 20, 'x'));
        compressor->finish();
      },
      Error);
}

TEST(OrderedBlocks, KeepsOrderAndPassesFailuresOn) {
  std::string out;
  OrderedBlocks blocks(2, [&](const CompressedBlock& block) { out += block.bytes; });
  for (int i = 0; i < 40; ++i) {
    blocks.submit([i] {
      CompressedBlock block;
      block.bytes = std::to_string(i) + " ";
      return block;
    });
  }
  blocks.drain();
  EXPECT_TRUE(out.starts_with("0 1 2 3 ") && out.ends_with("38 39 ")) << out;
  blocks.submit([]() -> CompressedBlock { throw Error(ErrorKind::internal, "bad"); });
  EXPECT_THROW(blocks.drain(), Error);
}

}  // namespace
}  // namespace kiln
