#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/lazy_zlib.h"
#include "kit/compressor.h"

namespace kiln {

namespace {

constexpr size_t deflate_block = 1 << 20;
constexpr size_t deflate_window = 32 << 10;

/// One block of a deflate stream; all but the last end on a byte boundary, so that they can be put in a row.
CompressedBlock deflate_one(const std::string& input, const std::string& dictionary, int level, bool last) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw Error(ErrorKind::internal, "zlib could not be initialized");
  }
  if (!dictionary.empty()) {
    deflateSetDictionary(&stream, reinterpret_cast<const Bytef*>(dictionary.data()),
                         static_cast<uInt>(dictionary.size()));
  }
  CompressedBlock block;
  block.bytes.resize(deflateBound(&stream, static_cast<uLong>(input.size())) + 64);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(block.bytes.data());
  stream.avail_out = static_cast<uInt>(block.bytes.size());
  int status = deflate(&stream, last ? Z_FINISH : Z_SYNC_FLUSH);
  bool whole =
      stream.avail_in == 0 && stream.avail_out > 0 && (last ? status == Z_STREAM_END : status == Z_OK);
  block.bytes.resize(block.bytes.size() - stream.avail_out);
  deflateEnd(&stream);
  if (!whole) throw Error(ErrorKind::internal, fmt::format("zlib: deflate returned {}", status));
  block.crc = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(input.data()), static_cast<uInt>(input.size())));
  block.length = input.size();
  return block;
}

}  // namespace

ParallelDeflate::ParallelDeflate(int level, int threads, ByteSink& out)
    : level_(level), out_(out), blocks_(threads, [this](const CompressedBlock& block) {
        crc_ = static_cast<uint32_t>(crc32_combine(crc_, block.crc, static_cast<z_off_t>(block.length)));
        bytes_out_ += block.bytes.size();
        out_.write(block.bytes);
      }) {}

void ParallelDeflate::submit(bool last) {
  auto dictionary = std::move(dictionary_);
  dictionary_ = block_.substr(block_.size() - std::min(block_.size(), deflate_window));
  blocks_.submit([block = std::move(block_), dictionary = std::move(dictionary), level = level_, last] {
    return deflate_one(block, dictionary, level, last);
  });
  block_.clear();
}

void ParallelDeflate::write(std::string_view bytes) {
  bytes_in_ += bytes.size();
  while (!bytes.empty()) {
    if (block_.size() == deflate_block) submit(false);
    size_t take = std::min(bytes.size(), deflate_block - block_.size());
    block_.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
  }
}

void ParallelDeflate::finish() {
  submit(true);
  blocks_.drain();
}

}  // namespace kiln
