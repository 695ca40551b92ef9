#include "builder/qemu/layer.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "base/error.h"
#include "base/fd.h"

namespace kiln::qemu {

namespace {

constexpr uint32_t qcow2_magic = 0x514649fb;  // "QFI\xfb"
constexpr uint64_t cluster_bits = 16;
constexpr uint64_t cluster = uint64_t{1} << cluster_bits;
constexpr uint64_t bytes_per_l1_entry = cluster / 8 * cluster;  // what an L2 table of one cluster maps
constexpr size_t size_offset = 24;
constexpr uint32_t header_length = 104;

void put(std::string& file, size_t at, uint64_t number, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) file[at + i] = static_cast<char>(number >> (8 * (bytes - 1 - i)));
}

uint64_t big_endian(const char* at, size_t bytes) {
  uint64_t out = 0;
  for (size_t i = 0; i < bytes; ++i) out = out << 8U | static_cast<unsigned char>(at[i]);
  return out;
}

/// The disk's size, as its header says.
uint64_t disk_size_of(const fs::path& file) {
  Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, size_offset + 8> header{};
  if (!fd.is_open() || ::pread(fd.get(), header.data(), header.size(), 0) < 0)
    throw_errno("read " + file.string());
  if (big_endian(header.data(), 4) != qcow2_magic)
    throw Error(ErrorKind::environment, file.string() + " is no qcow2 disk");
  return big_endian(header.data() + size_offset, 8);
}

}  // namespace

std::string empty_layer(const std::string& below, uint64_t size) {
  // Cluster 0: header. 1: refcount table. 2: refcounts. From 3 on: the L1 table, which says that nothing is
  // here.
  uint64_t l1_entries = (size + bytes_per_l1_entry - 1) / bytes_per_l1_entry;
  uint64_t clusters = 3 + (l1_entries * 8 + cluster - 1) / cluster;
  std::string out(clusters * cluster, '\0');
  const std::string format = "qcow2";
  const size_t name_at = header_length + 8 + 8 + 8;  // behind the backing format and the end of extensions
  KILN_CHECK(below.size() <= 1023);                  // the format's own limit
  put(out, 0, qcow2_magic, 4);
  put(out, 4, 3, 4);  // version
  put(out, 8, name_at, 8);
  put(out, 16, below.size(), 4);
  put(out, 20, cluster_bits, 4);
  put(out, size_offset, size, 8);
  put(out, 36, l1_entries, 4);
  put(out, 40, 3 * cluster, 8);
  put(out, 48, cluster, 8);
  put(out, 56, 1, 4);  // clusters of the refcount table
  put(out, 96, 4, 4);  // refcounts of 2^4 bits
  put(out, 100, header_length, 4);
  put(out, header_length, 0xe2792aca, 4);  // extension: the format of what is below
  put(out, header_length + 4, format.size(), 4);
  out.replace(header_length + 8, format.size(), format);
  out.replace(name_at, below.size(), below);
  put(out, cluster, 2 * cluster, 8);
  for (uint64_t i = 0; i < clusters; ++i) put(out, 2 * cluster + 2 * i, 1, 2);
  return out;
}

void make_layer(const fs::path& path, const fs::path& below) {
  std::string layer = empty_layer(below.filename().string(), disk_size_of(below));
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.is_open()) throw_errno("make " + path.string());
  write_all(fd.get(), layer);
}

}  // namespace kiln::qemu
