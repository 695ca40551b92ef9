// Compression on all cores: what comes out is read by gunzip, bunzip2, xz, zstd, lz4.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>

namespace kiln {

/// Takes bytes in order. finish() is called once, at the end; without it the output is not whole.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(std::string_view bytes) = 0;
  virtual void finish() = 0;
};

/// A sink made of a function; finish() does nothing.
class FunctionSink : public ByteSink {
 public:
  explicit FunctionSink(std::function<void(std::string_view)> write) : write_(std::move(write)) {}
  void write(std::string_view bytes) override { write_(bytes); }
  void finish() override {}

 private:
  std::function<void(std::string_view)> write_;
};

enum class Codec { none, gzip, bgzf, bzip2, lz4, xz, zstd };

/// A sink that compresses into `out` (borrowed). `level` -1: the codec's default; else 1..9. `threads` >= 1.
/// gzip is one member cut into blocks that are deflated side by side, each knowing the 32 KiB before it;
/// bgzf, bzip2 and lz4 are rows of independent members; xz and zstd use their libraries' own threads. Throws
/// Error{internal}.
std::unique_ptr<ByteSink> make_compressor(Codec codec, int level, int threads, ByteSink& out);

/// What came of one block.
struct CompressedBlock {
  std::string bytes;
  uint32_t crc = 0;     ///< of the input, where the codec asks for it
  uint64_t length = 0;  ///< of the input
};

/// Runs jobs on `threads` threads and hands their results over in the order of submission, from the
/// submitting thread.
class OrderedBlocks {
 public:
  using Job = std::function<CompressedBlock()>;
  OrderedBlocks(int threads, std::function<void(const CompressedBlock&)> emit);
  ~OrderedBlocks();
  OrderedBlocks(const OrderedBlocks&) = delete;
  OrderedBlocks& operator=(const OrderedBlocks&) = delete;
  /// Waits while more than two blocks a thread are under way. A job's exception comes out here or in drain().
  void submit(Job job);
  void drain();

 private:
  struct Pool;
  void emit_first();

  size_t limit_;
  std::function<void(const CompressedBlock&)> emit_;
  std::unique_ptr<Pool> pool_;
  std::deque<std::future<CompressedBlock>> pending_;
};

/// A raw deflate stream made on several cores: the body of gzip members and zip entries.
class ParallelDeflate {
 public:
  ParallelDeflate(int level, int threads, ByteSink& out);
  void write(std::string_view bytes);
  void finish();
  uint32_t crc() const { return crc_; }  ///< CRC-32 of the input; after finish()
  uint64_t bytes_in() const { return bytes_in_; }
  uint64_t bytes_out() const { return bytes_out_; }

 private:
  void submit(bool last);

  int level_;
  ByteSink& out_;
  std::string block_;
  std::string dictionary_;
  uint32_t crc_ = 0;
  uint64_t bytes_in_ = 0;
  uint64_t bytes_out_ = 0;
  OrderedBlocks blocks_;
};

}  // namespace kiln
