// What Kiln uses of libarchive, opened at the first call: base/lazy_library.h.
#pragma once
#include <archive.h>
#include <archive_entry.h>

#include "base/lazy_library.h"

namespace kiln {

inline constexpr LazyLibrary lazy_archive{"libarchive.so.13", "libarchive13"};
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_clear);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_copy_stat);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_filetype);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_free);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_hardlink);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_new);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_pathname);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_set_filetype);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_set_hardlink);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_set_mtime);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_set_pathname);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_set_perm);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_set_size);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_set_symlink);
KILN_LAZY_FUNCTION(lazy_archive, archive_entry_sparse_add_entry);
KILN_LAZY_FUNCTION(lazy_archive, archive_errno);
KILN_LAZY_FUNCTION(lazy_archive, archive_error_string);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_data);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_data_block);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_free);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_new);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_next_header);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_open);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_open_filename);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_support_filter_all);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_support_filter_gzip);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_support_filter_zstd);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_support_format_all);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_support_format_raw);
KILN_LAZY_FUNCTION(lazy_archive, archive_read_support_format_tar);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_add_filter_zstd);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_close);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_data);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_data_block);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_disk_new);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_disk_set_options);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_finish_entry);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_free);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_header);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_new);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_open);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_open_fd);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_set_bytes_in_last_block);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_set_bytes_per_block);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_set_format_gnutar);
KILN_LAZY_FUNCTION(lazy_archive, archive_write_set_format_pax_restricted);

}  // namespace kiln
