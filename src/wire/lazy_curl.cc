// libcurl, loaded when the first transfer needs it: with the fifteen libraries that it brings it would cost
// every start of the program more time than everything else together, and most commands transfer nothing. The
// functions have libcurl's own names and declarations; each hands its call on. One that is missing here is an
// undefined symbol when linking: add a line.
#include <curl/curl.h>
#include <dlfcn.h>

#include <cstdarg>

#include "base/error.h"

namespace kiln {

static void* curl_function(const char* name) {
  static void* const library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw Error(ErrorKind::environment,
                std::string("downloads need libcurl (apt-get install libcurl4): ") + ::dlerror());
  void* function = ::dlsym(library, name);
  if (!function)
    throw Error(ErrorKind::environment, std::string("this libcurl is too old: it has no ") + name);
  return function;
}

}  // namespace kiln

// The real function of the same type.
#define KILN_CURL(name) \
  static const auto real = reinterpret_cast<decltype(&name)>(::kiln::curl_function(#name))

extern "C" {

CURLcode curl_global_init(long flags) {
  KILN_CURL(curl_global_init);
  return real(flags);
}
CURL* curl_easy_init() {
  KILN_CURL(curl_easy_init);
  return real();
}
void curl_easy_cleanup(CURL* easy) {
  KILN_CURL(curl_easy_cleanup);
  real(easy);
}
const char* curl_easy_strerror(CURLcode code) {
  KILN_CURL(curl_easy_strerror);
  return real(code);
}
// The parameter before the dots is an enumeration in libcurl's header, and so in libcurl: its ABI makes it an int, as
// which it is passed, so that what the language leaves open here is settled (Clang's -Wvarargs).
#pragma GCC diagnostic ignored "-Wvarargs"
// The one variable argument of these is a long, a curl_off_t or a pointer: all as wide as a pointer where
// Kiln runs.
static_assert(sizeof(long) == sizeof(void*) && sizeof(curl_off_t) == sizeof(void*));
CURLcode curl_easy_setopt(CURL* easy, CURLoption option, ...) {
  KILN_CURL(curl_easy_setopt);
  va_list arguments;
  va_start(arguments, option);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return real(easy, option, argument);
}
CURLcode curl_easy_getinfo(CURL* easy, CURLINFO info, ...) {
  KILN_CURL(curl_easy_getinfo);
  va_list arguments;
  va_start(arguments, info);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return real(easy, info, argument);
}
CURLMcode curl_multi_setopt(CURLM* multi, CURLMoption option, ...) {
  KILN_CURL(curl_multi_setopt);
  va_list arguments;
  va_start(arguments, option);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return real(multi, option, argument);
}
CURLM* curl_multi_init() {
  KILN_CURL(curl_multi_init);
  return real();
}
CURLMcode curl_multi_cleanup(CURLM* multi) {
  KILN_CURL(curl_multi_cleanup);
  return real(multi);
}
CURLMcode curl_multi_add_handle(CURLM* multi, CURL* easy) {
  KILN_CURL(curl_multi_add_handle);
  return real(multi, easy);
}
CURLMcode curl_multi_remove_handle(CURLM* multi, CURL* easy) {
  KILN_CURL(curl_multi_remove_handle);
  return real(multi, easy);
}
CURLMsg* curl_multi_info_read(CURLM* multi, int* left) {
  KILN_CURL(curl_multi_info_read);
  return real(multi, left);
}
CURLMcode curl_multi_socket_action(CURLM* multi, curl_socket_t socket, int events, int* running) {
  KILN_CURL(curl_multi_socket_action);
  return real(multi, socket, events, running);
}
curl_slist* curl_slist_append(curl_slist* list, const char* text) {
  KILN_CURL(curl_slist_append);
  return real(list, text);
}
void curl_slist_free_all(curl_slist* list) {
  KILN_CURL(curl_slist_free_all);
  real(list);
}

}  // extern "C"
