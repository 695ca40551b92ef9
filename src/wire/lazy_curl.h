// What Kiln uses of libcurl, opened at the first call: base/lazy_library.h.
#pragma once
#include <curl/curl.h>

#include "base/lazy_library.h"

namespace kiln {

inline constexpr LazyLibrary lazy_curl{"libcurl.so.4", "libcurl4"};
KILN_LAZY_FUNCTION(lazy_curl, curl_easy_cleanup);
KILN_LAZY_FUNCTION(lazy_curl, curl_easy_getinfo);
KILN_LAZY_FUNCTION(lazy_curl, curl_easy_init);
KILN_LAZY_FUNCTION(lazy_curl, curl_easy_setopt);
KILN_LAZY_FUNCTION(lazy_curl, curl_easy_strerror);
KILN_LAZY_FUNCTION(lazy_curl, curl_global_init);
KILN_LAZY_FUNCTION(lazy_curl, curl_multi_add_handle);
KILN_LAZY_FUNCTION(lazy_curl, curl_multi_cleanup);
KILN_LAZY_FUNCTION(lazy_curl, curl_multi_info_read);
KILN_LAZY_FUNCTION(lazy_curl, curl_multi_init);
KILN_LAZY_FUNCTION(lazy_curl, curl_multi_remove_handle);
KILN_LAZY_FUNCTION(lazy_curl, curl_multi_setopt);
KILN_LAZY_FUNCTION(lazy_curl, curl_multi_socket_action);
KILN_LAZY_FUNCTION(lazy_curl, curl_slist_append);
KILN_LAZY_FUNCTION(lazy_curl, curl_slist_free_all);

}  // namespace kiln
