#include "base/glob.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

namespace {

constexpr char32_t bad_rune = 0xFFFD;

/// The first character of `text` and its length in bytes, as Go decodes: what is no UTF-8 is U+FFFD, one byte
/// long.
std::pair<char32_t, size_t> decode_rune(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return {bad_rune, 1};
  char32_t rune = first & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {bad_rune, 1};
    rune = (rune << 6) | (byte(i) & 0x3Fu);
  }
  constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (rune < smallest[size] || rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF)) return {bad_rune, 1};
  return {rune, size};
}

}  // namespace

/// Reads a pattern from left to right and writes the automaton. Groups wait on a stack, so depth costs no
/// recursion.
class GlobCompiler {
 public:
  explicit GlobCompiler(std::string_view pattern) : rest_(pattern) {}

  std::optional<Glob> compile(std::string* error) {
    while (error_.empty() && peek()) item();
    while (!groups_.empty()) close_group();  // a missing "}" stands at the end
    emit(Kind::end);
    if (error_.empty()) return std::move(glob_);
    if (error) *error = error_;
    return std::nullopt;
  }

 private:
  using Kind = Glob::Instruction::Kind;
  struct Group {
    uint32_t fork = 0;
    std::vector<uint32_t> jumps;  ///< at the end of each alternative
  };

  uint32_t here() const { return static_cast<uint32_t>(glob_.code_.size()); }
  Glob::Instruction& emit(Kind kind) {
    glob_.code_.push_back({kind});
    return glob_.code_.back();
  }

  /// The next character; 0 at the end, which a NUL is too.
  char32_t peek() {
    if (rest_.empty()) return 0;
    char32_t rune = decode_rune(rest_).first;
    if (rune != bad_rune) return rune;
    if (error_.empty()) error_ = "could not read rune";
    return 0;
  }
  char32_t take() {
    char32_t rune = peek();
    if (rune) {
      last_ = std::string(rest_.substr(0, decode_rune(rest_).second));
      rest_.remove_prefix(last_.size());
    }
    return rune;
  }

  void item() {
    char32_t rune = take();
    switch (rune) {
      case '*':
        while (peek() == '*') take();
        emit(Kind::star);
        return;
      case '?':
        emit(Kind::one).negated = true;
        return;
      case '[':
        range();
        return;
      case '{':
        groups_.push_back({here(), {}});
        emit(Kind::fork).targets.push_back(groups_.back().fork + 1);
        return;
      case ',':
        if (groups_.empty()) break;
        groups_.back().jumps.push_back(here());
        emit(Kind::jump);
        glob_.code_[groups_.back().fork].targets.push_back(here());
        return;
      case '}':
        if (groups_.empty()) break;
        close_group();
        return;
      case '\\':
        rune = take();
        break;
      default:
        break;
    }
    if (rune) emit(Kind::one).ranges.push_back({rune, rune});
  }

  void close_group() {
    for (uint32_t jump : groups_.back().jumps) glob_.code_[jump].targets.push_back(here());
    groups_.pop_back();
  }

  /// What follows "[". The texts of mistakes are gobwas'.
  void range() {
    bool negated = peek() == '!';
    if (negated) take();
    char32_t low = take();
    std::string low_text = last_;
    if (low && peek() == '-') {
      take();
      char32_t high = take();
      std::string high_text = last_;
      if (!close_range(high)) return;
      if (high < low)
        error_ = fmt::format("hi character '{}' should be greater than lo '{}'", high_text, low_text);
      auto& one = emit(Kind::one);
      one.negated = negated;
      one.ranges.push_back({low, high});
      return;
    }
    Glob::Instruction one{Kind::one, negated};
    for (; low && low != ']'; low = take()) {
      if (low == '\\') low = take();
      if (low) one.ranges.push_back({low, low});
    }
    if (!low) return unexpected_end();
    if (one.ranges.empty()) error_ = "could not parse range";
    glob_.code_.push_back(std::move(one));
  }

  bool close_range(char32_t high) {
    char32_t close = high ? take() : 0;
    if (close == ']') return true;
    if (!close) unexpected_end();
    if (error_.empty()) error_ = "expected close range character";
    return false;
  }
  void unexpected_end() {
    if (error_.empty()) error_ = "unexpected end of input";
  }

  std::string_view rest_;
  std::string last_;  ///< the bytes of the character taken last
  std::string error_;
  std::vector<Group> groups_;
  Glob glob_;
};

/// One match: the set of places in the automaton that the text so far can have reached.
class Glob::Run {
 public:
  explicit Run(const Glob& glob) : code_(glob.code_), marks_(code_.size(), 0) { reach(0); }

  void step(char32_t rune) {
    std::vector<uint32_t> before;
    before.swap(now_);
    ++mark_;
    for (uint32_t at : before) {
      const Instruction& here = code_[at];
      if (here.kind == Instruction::Kind::star) reach(at);
      if (here.kind == Instruction::Kind::one && fits(here, rune)) reach(at + 1);
    }
  }
  bool is_dead() const { return now_.empty(); }
  bool is_at_end() const {
    return std::any_of(now_.begin(), now_.end(),
                       [&](uint32_t at) { return code_[at].kind == Instruction::Kind::end; });
  }

 private:
  static bool fits(const Instruction& one, char32_t rune) {
    bool found = std::any_of(one.ranges.begin(), one.ranges.end(),
                             [&](auto& r) { return rune >= r.first && rune <= r.second; });
    return found != one.negated;
  }

  /// Adds a place and all that can be reached from it without a character.
  void reach(uint32_t start) {
    open_.push_back(start);
    while (!open_.empty()) {
      uint32_t at = open_.back();
      open_.pop_back();
      if (std::exchange(marks_[at], mark_) == mark_) continue;
      const Instruction& here = code_[at];
      for (uint32_t target : here.targets) open_.push_back(target);
      if (here.kind == Instruction::Kind::star) open_.push_back(at + 1);
      if (here.targets.empty()) now_.push_back(at);
    }
  }

  const std::vector<Instruction>& code_;
  std::vector<uint64_t> marks_;  ///< mark_ at the last time a place was reached
  uint64_t mark_ = 1;
  std::vector<uint32_t> now_;
  std::vector<uint32_t> open_;
};

std::optional<Glob> Glob::compile(std::string_view pattern, std::string* error) {
  return GlobCompiler(pattern).compile(error);
}

bool Glob::matches(std::string_view text) const {
  Run run(*this);
  while (!text.empty() && !run.is_dead()) {
    auto [rune, size] = decode_rune(text);
    run.step(rune);
    text.remove_prefix(size);
  }
  return run.is_at_end();
}

}  // namespace kiln
