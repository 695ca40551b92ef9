// C libraries that are opened when their first function is called. Linked as usual, those that Kiln uses and what they
// bring along cost every start of the program more time and memory than all else together, and most commands call none
// of them. A file lazy_<library>.h names what is used of one library; who includes it and works in namespace kiln calls
// the functions by their own names and types. One that is missing there is an undefined symbol when linking.
#pragma once

namespace kiln {

struct LazyLibrary {
  const char* file;     ///< its soname
  const char* package;  ///< Debian's package; also in packaging/CMakeLists.txt
};

/// The address of a function; the library stays open for good. Thread-safe. Throws Error{environment} that names the
/// package when the library is missing or too old to have it.
void* function_of(const LazyLibrary& library, const char* name);

/// Calls what Where::address() finds; of the function's type, but for noexcept: the first call may throw Error.
template <class Where, class Signature>
struct LazyFunction;
template <class Where, class R, class... A>
struct LazyFunction<Where, R(A...)> {
  R operator()(A... arguments) const { return reinterpret_cast<R (*)(A...)>(Where::address())(arguments...); }
};
template <class Where, class R, class... A>
struct LazyFunction<Where, R(A...) noexcept> : LazyFunction<Where, R(A...)> {};
template <class Where, class R, class... A>
struct LazyFunction<Where, R(A..., ...)> {
  template <class... More>
  R operator()(A... arguments, More... more) const {
    return reinterpret_cast<R (*)(A..., ...)>(Where::address())(arguments..., more...);
  }
};
template <class Where, class R, class... A>
struct LazyFunction<Where, R(A..., ...) noexcept> : LazyFunction<Where, R(A..., ...)> {};

/// Deleter of a std::unique_ptr: CallToDelete<archive_read_free>.
template <auto& function>
struct CallToDelete {
  template <class T>
  void operator()(T* object) const {
    function(object);
  }
};

}  // namespace kiln

/// Declares, in namespace kiln, the object of a library's function.
#define KILN_LAZY_FUNCTION(library, name)                       \
  struct Lazy_##name {                                          \
    static void* address() {                                    \
      static void* const found = function_of(library, #name);   \
      return found;                                             \
    }                                                           \
  };                                                            \
  inline constexpr LazyFunction<Lazy_##name, decltype(::name)> name {}
