// The one exception of the program: an operation failed.
// Wrong templates are Diagnostics (lang/diagnostic.h), bugs are CHECK below; there is no fourth way.
#pragma once
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace kiln {

/// Why an operation failed; set where it is raised. One table (core/exit_code) maps it to retry and exit code.
enum class ErrorKind {
  user,         ///< the person asked for something that cannot be: bad option value, missing file
  environment,  ///< this machine cannot: a program is missing, the disk is full
  remote,       ///< the other side failed: guest, server, API
  timeout,      ///< a deadline passed
  cancelled,    ///< Stop was requested
  internal,     ///< a library or the kernel did what it must not
};

std::string_view to_string(ErrorKind kind);

/// A failed operation. The message is a full sentence for a person; context is added on the way up by during().
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}
  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }
  /// The same failure, with what was being done put in front: "CONTEXT: MESSAGE".
  Error with_context(std::string_view context) const;

 private:
  ErrorKind kind_;
  std::string message_;
};

/// Runs f; an Error that escapes gains "context: " in front.
template <class F>
auto during(std::string_view context, F&& f) -> decltype(f()) {
  try {
    return std::forward<F>(f)();
  } catch (const Error& e) {
    throw e.with_context(context);
  }
}

/// Runs f, which calls code that may throw something else (the standard library, a component): whatever escapes is
/// an Error, so that those who clean up after one need to know no other.
template <class F>
auto only_errors(F&& f) -> decltype(f()) {
  try {
    return std::forward<F>(f)();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(ErrorKind::internal, e.what());
  }
}

/// Throws Error{environment} with "WHAT: strerror(errno)".
[[noreturn]] void throw_errno(std::string_view what);

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace kiln

/// A bug in Kiln if it does not hold: prints and aborts. Always on. Never for what the outside promised and broke.
#define KILN_CHECK(condition)                                              \
  do {                                                                     \
    if (!(condition)) ::kiln::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
