#include "kit/compressor.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/lazy_zlib.h"
#include "kit/lazy_codecs.h"

namespace kiln {

namespace {

[[noreturn]] void throw_codec(const char* codec, const std::string& why) {
  throw Error(ErrorKind::internal, fmt::format("{}: {}", codec, why));
}

std::string little_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

/// gzip: one member around a deflate stream made on all cores.
class GzipSink : public ByteSink {
 public:
  GzipSink(int level, int threads, ByteSink& out) : out_(out), body_(level, threads, out) {
    out_.write(std::string_view("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10));
  }
  void write(std::string_view bytes) override { body_.write(bytes); }
  void finish() override {
    body_.finish();
    out_.write(little_endian(body_.crc(), 4) + little_endian(body_.bytes_in() & 0xffffffff, 4));
    out_.finish();
  }

 private:
  ByteSink& out_;
  ParallelDeflate body_;
};

using BlockCompressor = std::function<std::string(const std::string&)>;

/// A row of members, each made of one block by itself.
class RowSink : public ByteSink {
 public:
  RowSink(size_t block_size, std::string trailer, BlockCompressor compress, int threads, ByteSink& out)
      : block_size_(block_size),
        trailer_(std::move(trailer)),
        compress_(std::move(compress)),
        out_(out),
        blocks_(threads, [this](const CompressedBlock& block) { out_.write(block.bytes); }) {}
  void write(std::string_view bytes) override {
    while (!bytes.empty()) {
      size_t take = std::min(bytes.size(), block_size_ - block_.size());
      block_.append(bytes.substr(0, take));
      bytes.remove_prefix(take);
      if (block_.size() == block_size_) submit();
    }
  }
  void finish() override {
    if (!block_.empty() || !any_) submit();
    blocks_.drain();
    if (!trailer_.empty()) out_.write(trailer_);
    out_.finish();
  }

 private:
  void submit() {
    any_ = true;
    blocks_.submit([block = std::move(block_), compress = compress_] {
      CompressedBlock made;
      made.bytes = compress(block);
      return made;
    });
    block_.clear();
  }

  size_t block_size_;
  std::string trailer_;
  BlockCompressor compress_;
  ByteSink& out_;
  std::string block_;
  bool any_ = false;
  OrderedBlocks blocks_;
};

/// One block of the Blocked GNU Zip Format: a gzip member that tells its own size in an extra field "BC".
std::string bgzf_member(const std::string& input, int level) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw_codec("bgzf", "no memory");
  std::string body(deflateBound(&stream, static_cast<uLong>(input.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(body.data());
  stream.avail_out = static_cast<uInt>(body.size());
  int status = deflate(&stream, Z_FINISH);
  body.resize(body.size() - stream.avail_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw_codec("bgzf", "deflate failed");
  std::string header("\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x06\x00\x42\x43\x02\x00", 16);
  header += little_endian(header.size() + 2 + body.size() + 8 - 1, 2);
  auto crc = crc32(0, reinterpret_cast<const Bytef*>(input.data()), static_cast<uInt>(input.size()));
  return header + body + little_endian(crc, 4) + little_endian(input.size(), 4);
}

std::string bzip2_member(const std::string& input, int level) {
  std::string out(input.size() + input.size() / 100 + 1024, '\0');
  auto size = static_cast<unsigned>(out.size());
  int status = BZ2_bzBuffToBuffCompress(out.data(), &size, const_cast<char*>(input.data()),
                                        static_cast<unsigned>(input.size()), level, 0, 0);
  if (status != BZ_OK) throw_codec("bzip2", fmt::format("error {}", status));
  out.resize(size);
  return out;
}

std::string lz4_frame(const std::string& input, int level) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockSizeID = LZ4F_max4MB;
  preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
  preferences.frameInfo.contentSize = input.size();
  preferences.compressionLevel = level;
  std::string out(LZ4F_compressFrameBound(input.size(), &preferences), '\0');
  size_t size = LZ4F_compressFrame(out.data(), out.size(), input.data(), input.size(), &preferences);
  if (LZ4F_isError(size)) throw_codec("lz4", LZ4F_getErrorName(size));
  out.resize(size);
  return out;
}

class XzSink : public ByteSink {
 public:
  XzSink(int level, int threads, ByteSink& out) : out_(out), buffer_(1 << 18, '\0') {
    lzma_mt options{};
    options.threads = static_cast<uint32_t>(threads);
    options.preset = level < 0 ? LZMA_PRESET_DEFAULT : static_cast<uint32_t>(level);
    options.check = LZMA_CHECK_CRC64;
    if (lzma_stream_encoder_mt(&stream_, &options) != LZMA_OK)
      throw_codec("xz", "the encoder could not be made");
  }
  ~XzSink() override { lzma_end(&stream_); }
  void write(std::string_view bytes) override {
    stream_.next_in = reinterpret_cast<const uint8_t*>(bytes.data());
    stream_.avail_in = bytes.size();
    while (stream_.avail_in > 0) code(LZMA_RUN);
  }
  void finish() override {
    while (code(LZMA_FINISH) != LZMA_STREAM_END) {
    }
    out_.finish();
  }

 private:
  lzma_ret code(lzma_action action) {
    stream_.next_out = reinterpret_cast<uint8_t*>(buffer_.data());
    stream_.avail_out = buffer_.size();
    lzma_ret status = lzma_code(&stream_, action);
    if (status != LZMA_OK && status != LZMA_STREAM_END)
      throw_codec("xz", fmt::format("error {}", static_cast<int>(status)));
    size_t made = buffer_.size() - stream_.avail_out;
    if (made > 0) out_.write(std::string_view(buffer_.data(), made));
    return status;
  }

  ByteSink& out_;
  std::string buffer_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

class ZstdSink : public ByteSink {
 public:
  ZstdSink(int level, int threads, ByteSink& out)
      : out_(out), context_(ZSTD_createCCtx()), buffer_(ZSTD_CStreamOutSize(), '\0') {
    if (!context_) throw_codec("zstd", "no memory");
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level < 0 ? ZSTD_CLEVEL_DEFAULT : level);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
    // A library without threads refuses; then it works on this one.
    if (threads > 1) ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_nbWorkers, threads);
  }
  void write(std::string_view bytes) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    while (in.pos < in.size) code(in, ZSTD_e_continue);
  }
  void finish() override {
    ZSTD_inBuffer in{nullptr, 0, 0};
    while (code(in, ZSTD_e_end) > 0) {
    }
    out_.finish();
  }

 private:
  size_t code(ZSTD_inBuffer& in, ZSTD_EndDirective directive) {
    ZSTD_outBuffer out{buffer_.data(), buffer_.size(), 0};
    size_t left = ZSTD_compressStream2(context_.get(), &out, &in, directive);
    if (ZSTD_isError(left)) throw_codec("zstd", ZSTD_getErrorName(left));
    if (out.pos > 0) out_.write(std::string_view(buffer_.data(), out.pos));
    return left;
  }

  ByteSink& out_;
  std::unique_ptr<ZSTD_CCtx, CallToDelete<ZSTD_freeCCtx>> context_;
  std::string buffer_;
};

class PlainSink : public ByteSink {
 public:
  explicit PlainSink(ByteSink& out) : out_(out) {}
  void write(std::string_view bytes) override { out_.write(bytes); }
  void finish() override { out_.finish(); }

 private:
  ByteSink& out_;
};

}  // namespace

std::unique_ptr<ByteSink> make_compressor(Codec codec, int level, int threads, ByteSink& out) {
  switch (codec) {
    case Codec::none:
      return std::make_unique<PlainSink>(out);
    case Codec::gzip:
      return std::make_unique<GzipSink>(level, threads, out);
    case Codec::bgzf: {
      const std::string end(
          "\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x06\x00\x42\x43\x02\x00\x1b\x00\x03\x00\x00\x00\x00"
          "\x00\x00\x00\x00\x00",
          28);
      return std::make_unique<RowSink>(
          65280, end, [level](const std::string& block) { return bgzf_member(block, level); }, threads, out);
    }
    case Codec::bzip2: {
      int size = level < 0 ? 9 : level;
      return std::make_unique<RowSink>(
          size * 100000 - 1000, "", [size](const std::string& block) { return bzip2_member(block, size); },
          threads, out);
    }
    case Codec::lz4: {
      int depth = level < 0 ? 0 : level;
      return std::make_unique<RowSink>(
          8 << 20, "", [depth](const std::string& block) { return lz4_frame(block, depth); }, threads, out);
    }
    case Codec::xz:
      return std::make_unique<XzSink>(level, threads, out);
    case Codec::zstd:
      return std::make_unique<ZstdSink>(level, threads, out);
  }
  KILN_CHECK(false);
  return nullptr;
}

}  // namespace kiln
