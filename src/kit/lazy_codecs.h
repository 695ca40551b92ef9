// What Kiln uses of the libraries that compress, each opened at its first call: base/lazy_library.h.
#pragma once
#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zstd.h>

#include "base/lazy_library.h"

namespace kiln {

inline constexpr LazyLibrary lazy_bzip2{"libbz2.so.1.0", "libbz2-1.0"};
KILN_LAZY_FUNCTION(lazy_bzip2, BZ2_bzBuffToBuffCompress);

inline constexpr LazyLibrary lazy_lz4{"liblz4.so.1", "liblz4-1"};
KILN_LAZY_FUNCTION(lazy_lz4, LZ4F_compressFrame);
KILN_LAZY_FUNCTION(lazy_lz4, LZ4F_compressFrameBound);
KILN_LAZY_FUNCTION(lazy_lz4, LZ4F_getErrorName);
KILN_LAZY_FUNCTION(lazy_lz4, LZ4F_isError);

inline constexpr LazyLibrary lazy_lzma{"liblzma.so.5", "liblzma5"};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // [[nodiscard]] is no part of a function's type
KILN_LAZY_FUNCTION(lazy_lzma, lzma_code);
KILN_LAZY_FUNCTION(lazy_lzma, lzma_end);
KILN_LAZY_FUNCTION(lazy_lzma, lzma_stream_encoder_mt);
#pragma GCC diagnostic pop

inline constexpr LazyLibrary lazy_zstd{"libzstd.so.1", "libzstd1"};
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_CCtx_setParameter);
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_CStreamOutSize);
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_compressStream2);
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_DStreamInSize);
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_createCCtx);
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_createDCtx);
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_decompressStream);
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_freeCCtx);
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_freeDCtx);
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_getErrorName);
KILN_LAZY_FUNCTION(lazy_zstd, ZSTD_isError);

}  // namespace kiln
