#include "kit/unpack.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <memory>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/lazy_archive.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr std::array unpackable_archives = {".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tgz",
                                            ".tbz2",   ".txz",     ".tzst",   ".tar",     ".zip"};
constexpr std::array unpackable_single = {".gz", ".bz2", ".xz", ".zst"};

using ArchiveReader = std::unique_ptr<archive, CallToDelete<archive_read_free>>;

[[noreturn]] void throw_unpack(archive* reader, const fs::path& from) {
  const char* text = archive_error_string(reader);
  throw Error(ErrorKind::user,
              fmt::format("unpack {}: {}", from.string(), text != nullptr ? text : "unreadable"));
}

void copy_entry(archive* reader, const fs::path& from, const fs::path& to, const ProgressFn& progress,
                const Stop& stop) {
  Fd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!out.is_open()) throw_errno("open " + to.string());
  std::string buffer(1 << 20, '\0');
  uint64_t done = 0;
  while (true) {
    stop.check();
    la_ssize_t got = archive_read_data(reader, buffer.data(), buffer.size());
    if (got < 0) throw_unpack(reader, from);
    if (got == 0) return;
    write_all(out.get(), std::string_view(buffer.data(), got));
    done += got;
    if (progress) progress(done, 0);
  }
}

}  // namespace

bool is_unpackable_name(const std::string& name) {
  auto ends = [&](const char* suffix) { return name.ends_with(suffix); };
  return std::any_of(unpackable_archives.begin(), unpackable_archives.end(), ends) ||
         std::any_of(unpackable_single.begin(), unpackable_single.end(), ends);
}

void unpack_single_file(const fs::path& from, const std::string& name, const fs::path& to,
                        const ProgressFn& progress, const Stop& stop) {
  ArchiveReader reader(archive_read_new());
  bool is_archive = std::any_of(unpackable_archives.begin(), unpackable_archives.end(),
                                [&](const char* suffix) { return name.ends_with(suffix); });
  archive_read_support_filter_all(reader.get());
  if (is_archive)
    archive_read_support_format_all(reader.get());
  else
    archive_read_support_format_raw(reader.get());
  if (archive_read_open_filename(reader.get(), from.c_str(), 1 << 18) != ARCHIVE_OK)
    throw_unpack(reader.get(), from);
  bool found = false;
  while (true) {
    archive_entry* entry = nullptr;
    int status = archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (status < ARCHIVE_WARN) throw_unpack(reader.get(), from);
    if (is_archive && archive_entry_filetype(entry) != AE_IFREG) continue;
    if (found) {
      throw Error(ErrorKind::user,
                  fmt::format("unpack {}: expected a single file, found more", from.string()));
    }
    copy_entry(reader.get(), from, to, progress, stop);
    found = true;
  }
  if (!found) throw Error(ErrorKind::user, fmt::format("unpack {}: there is no file in it", from.string()));
}

}  // namespace kiln
