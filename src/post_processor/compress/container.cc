#include "post_processor/compress/container.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <ctime>
#include <exception>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lazy_archive.h"

namespace kiln {

namespace {

constexpr size_t read_block = 1 << 20;

Fd open_input(const std::string& file, struct stat& status) {
  Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open() || ::fstat(fd.get(), &status) != 0) {
    throw Error(ErrorKind::user, fmt::format("open {}: {}", file, go_errno_text(errno)));
  }
  if (S_ISDIR(status.st_mode)) throw Error(ErrorKind::user, fmt::format("read {}: is a directory", file));
  return fd;
}

/// Hands the whole file over; a file that changes its size meanwhile is an error where the size was
/// announced.
uint64_t copy_file_to(int fd, const std::function<void(std::string_view)>& write, const TakenFn& taken) {
  uint64_t total = 0;
  while (true) {
    std::string block = read_some(fd, read_block);
    if (block.empty()) return total;
    write(block);
    taken(block.size());
    total += block.size();
  }
}

struct TarOutput {
  ByteSink* out;
  std::exception_ptr thrown;
};

la_ssize_t tar_write(archive*, void* user, const void* data, size_t size) {
  auto& output = *static_cast<TarOutput*>(user);
  try {
    output.out->write(std::string_view(static_cast<const char*>(data), size));
    return static_cast<la_ssize_t>(size);
  } catch (...) {
    output.thrown = std::current_exception();
    return -1;
  }
}

void check_tar(int status, archive* writer, const TarOutput& output) {
  if (output.thrown) std::rethrow_exception(output.thrown);
  if (status < ARCHIVE_WARN) {
    const char* text = archive_error_string(writer);
    throw Error(ErrorKind::internal,
                fmt::format("Error creating tar: {}", text != nullptr ? text : "unknown"));
  }
}

std::string zip_number(uint64_t value, int bytes) {
  std::string out;
  for (; bytes > 0; --bytes, value >>= 8) out += static_cast<char>(value & 0xff);
  return out;
}

struct ZipMember {
  std::string name;
  uint64_t offset = 0;
  uint64_t size = 0;
  uint64_t packed = 0;
  uint32_t crc = 0;
  uint32_t mode = 0;
  uint16_t dos_time = 0;
  uint16_t dos_date = 0x21;  ///< 1980-01-01
};

void set_zip_time(ZipMember& member, time_t time) {
  struct tm parts {};
  if (::localtime_r(&time, &parts) == nullptr || parts.tm_year < 80) return;
  member.dos_date =
      static_cast<uint16_t>((parts.tm_year - 80) << 9 | (parts.tm_mon + 1) << 5 | parts.tm_mday);
  member.dos_time = static_cast<uint16_t>(parts.tm_hour << 11 | parts.tm_min << 5 | parts.tm_sec / 2);
}

constexpr uint64_t zip_limit = 0xffffffff;
constexpr int zip_version = 45;  ///< zip64 and data descriptors

/// Sizes follow the data in a zip64 descriptor, so the header need not be gone back to.
std::string zip_local_header(const ZipMember& member) {
  std::string extra = zip_number(1, 2) + zip_number(16, 2) + zip_number(0, 16);
  return "PK\x03\x04" + zip_number(zip_version, 2) + zip_number(0x0808, 2) + zip_number(8, 2) +
         zip_number(member.dos_time, 2) + zip_number(member.dos_date, 2) + zip_number(0, 4) +
         zip_number(zip_limit, 4) + zip_number(zip_limit, 4) + zip_number(member.name.size(), 2) +
         zip_number(extra.size(), 2) + member.name + extra;
}

std::string zip_central_header(const ZipMember& member) {
  bool big = member.size >= zip_limit || member.packed >= zip_limit || member.offset >= zip_limit;
  std::string extra;
  if (big) {
    extra = zip_number(1, 2) + zip_number(24, 2) + zip_number(member.size, 8) + zip_number(member.packed, 8) +
            zip_number(member.offset, 8);
  }
  auto short_of = [&](uint64_t value) { return zip_number(big ? zip_limit : value, 4); };
  return "PK\x01\x02" + zip_number(3 << 8 | zip_version, 2) + zip_number(zip_version, 2) +
         zip_number(0x0808, 2) + zip_number(8, 2) + zip_number(member.dos_time, 2) +
         zip_number(member.dos_date, 2) + zip_number(member.crc, 4) + short_of(member.packed) +
         short_of(member.size) + zip_number(member.name.size(), 2) + zip_number(extra.size(), 2) +
         zip_number(0, 2) + zip_number(0, 2) + zip_number(0, 2) +
         zip_number(static_cast<uint64_t>(member.mode) << 16, 4) + short_of(member.offset) + member.name +
         extra;
}

std::string zip_end(size_t count, uint64_t start, uint64_t size) {
  std::string out;
  bool big = count >= 0xffff || start >= zip_limit || size >= zip_limit;
  if (big) {
    out += "PK\x06\x06" + zip_number(44, 8) + zip_number(zip_version, 2) + zip_number(zip_version, 2) +
           zip_number(0, 4) + zip_number(0, 4) + zip_number(count, 8) + zip_number(count, 8) +
           zip_number(size, 8) + zip_number(start, 8);
    out += "PK\x06\x07" + zip_number(0, 4) + zip_number(start + size, 8) + zip_number(1, 4);
  }
  size_t shown = big ? 0xffff : count;
  out += "PK\x05\x06" + zip_number(0, 4) + zip_number(shown, 2) + zip_number(shown, 2) +
         zip_number(big ? zip_limit : size, 4) + zip_number(big ? zip_limit : start, 4) + zip_number(0, 2);
  return out;
}

}  // namespace

void write_plain(const std::string& file, ByteSink& out, const TakenFn& taken) {
  struct stat status {};
  Fd fd = open_input(file, status);
  copy_file_to(
      fd.get(), [&](std::string_view block) { out.write(block); }, taken);
}

void write_tar(const std::vector<std::string>& files, ByteSink& out, const TakenFn& taken) {
  TarOutput output{&out, nullptr};  // before the writer, which still writes when it is freed after a failure
  std::unique_ptr<archive, CallToDelete<archive_write_free>> writer(archive_write_new());
  archive_write_set_format_pax_restricted(writer.get());
  archive_write_set_bytes_per_block(writer.get(), 1 << 18);
  archive_write_set_bytes_in_last_block(writer.get(), 1);
  check_tar(archive_write_open(writer.get(), &output, nullptr, &tar_write, nullptr), writer.get(), output);
  for (const auto& file : files) {
    struct stat status {};
    Fd fd = during("Error creating tar: Failed to copy " + file + " data to archive",
                   [&] { return open_input(file, status); });
    std::unique_ptr<archive_entry, CallToDelete<archive_entry_free>> entry(archive_entry_new());
    archive_entry_copy_stat(entry.get(), &status);
    archive_entry_set_pathname(entry.get(), file.c_str());
    check_tar(archive_write_header(writer.get(), entry.get()), writer.get(), output);
    uint64_t copied = copy_file_to(
        fd.get(),
        [&](std::string_view block) {
          la_ssize_t written = archive_write_data(writer.get(), block.data(), block.size());
          check_tar(written < 0 ? ARCHIVE_FATAL : ARCHIVE_OK, writer.get(), output);
        },
        taken);
    if (copied != static_cast<uint64_t>(status.st_size)) {
      throw Error(ErrorKind::environment, fmt::format("{} changed its size while it was read", file));
    }
    check_tar(archive_write_finish_entry(writer.get()), writer.get(), output);
  }
  check_tar(archive_write_close(writer.get()), writer.get(), output);
}

void write_zip(const std::vector<std::string>& files, int level, int threads, ByteSink& out,
               const TakenFn& taken) {
  uint64_t offset = 0;
  FunctionSink counted([&](std::string_view bytes) {
    out.write(bytes);
    offset += bytes.size();
  });
  std::vector<ZipMember> members;
  for (const auto& file : files) {
    struct stat status {};
    Fd fd = open_input(file, status);
    ZipMember member;
    member.name = file;
    member.offset = offset;
    member.mode = status.st_mode;
    set_zip_time(member, status.st_mtime);
    counted.write(zip_local_header(member));
    ParallelDeflate body(level, threads, counted);
    copy_file_to(
        fd.get(), [&](std::string_view block) { body.write(block); }, taken);
    body.finish();
    member.crc = body.crc();
    member.size = body.bytes_in();
    member.packed = body.bytes_out();
    counted.write("PK\x07\x08" + zip_number(member.crc, 4) + zip_number(member.packed, 8) +
                  zip_number(member.size, 8));
    members.push_back(std::move(member));
  }
  uint64_t start = offset;
  for (const auto& member : members) counted.write(zip_central_header(member));
  counted.write(zip_end(members.size(), start, offset - start));
}

}  // namespace kiln
