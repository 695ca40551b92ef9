// What Kiln uses of SQLite, opened at the first call: base/lazy_library.h.
#pragma once
#include <sqlite3.h>

#include "base/lazy_library.h"

namespace kiln {

inline constexpr LazyLibrary lazy_sqlite{"libsqlite3.so.0", "libsqlite3-0"};
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_bind_int64);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_bind_text64);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_busy_timeout);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_changes);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_close);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_column_bytes);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_column_int64);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_column_text);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_db_readonly);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_errcode);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_errmsg);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_exec);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_finalize);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_last_insert_rowid);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_open_v2);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_prepare_v2);
KILN_LAZY_FUNCTION(lazy_sqlite, sqlite3_step);

}  // namespace kiln
