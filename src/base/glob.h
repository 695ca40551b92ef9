// Patterns for names, as gobwas/glob (which Packer uses for -only and -except) reads them without separators:
// `*` and `**` any text, `?` one character, `[abc]` `[a-z]` `[!a-z]` one of (or none of) these, `{a,b*}` any
// of these patterns, `\` takes the next character as it is.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln {

/// A compiled pattern: a small automaton, so that matching takes at most pattern times text steps whatever
/// they are.
class Glob {
 public:
  /// nullopt when the pattern is none; `*error` then says why in gobwas' words.
  static std::optional<Glob> compile(std::string_view pattern, std::string* error = nullptr);
  /// Whether the whole text fits. Bytes that are not UTF-8 count as one character each.
  bool matches(std::string_view text) const;

 private:
  friend class GlobCompiler;
  struct Instruction {
    enum class Kind { one, star, fork, jump, end } kind = Kind::end;
    bool negated = false;                                    ///< one: none of `ranges`
    std::vector<std::pair<char32_t, char32_t>> ranges = {};  ///< one: both ends belong to it
    std::vector<uint32_t> targets = {};                      ///< fork, jump
  };
  class Run;

  std::vector<Instruction> code_;
};

}  // namespace kiln
