// Numbers of HCL: binary floating point, rounding to nearest even, as cty's (Go's big.Float). Each number has a
// precision of its own: 512 bits for literals and text, 64 for counts, 53 for what came of a double; the result of an
// operation has the greatest of its operands' precisions. It decides how a number looks: 0.1 of a double is "0.1".
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kiln {

/// An immutable number. Small integers are held as they are; anything else is shared. Never NaN (a NaN becomes 0);
/// infinities exist only as results: of from_double(), of division by zero, and where a magnitude exceeds 2^262144.
/// What has no result at all (0/0, infinity less itself) the callers refuse before. Magnitudes below 2^-262144 are zero.
class HclNumber {
 public:
  HclNumber(int64_t integer = 0) : small_(integer) {}
  static HclNumber from_double(double value);
  /// A literal as HCL and cty read it: "15", "-1.5e3", "1p4" (16). nullopt when it is none, when it is infinite or
  /// its magnitude out of bounds.
  static std::optional<HclNumber> parse(std::string_view text);
  /// Digits in base 2 to 62, optional sign (parseint): letters are 10..35 in either case, but from base 37 on only
  /// small ones are and capitals count on. nullopt when they are none or too many.
  static std::optional<HclNumber> parse_integer(std::string_view digits, int base);

  /// Shortest decimal text that reads back to the same number, without an exponent: Go's Text('f', -1).
  std::string text() const;
  /// Exactly `digits` decimals after the point: Go's Text('f', digits).
  std::string fixed(int digits) const;
  /// Ten significant digits: Go's Text('g', 10).
  std::string brief() const;
  double to_double() const;
  bool is_integer() const;
  std::optional<int64_t> to_int64() const;  ///< when it is an integer in range
  bool is_infinite() const;
  int sign() const;  ///< -1, 0 (also of the negative zero, whose text is "-0"), 1

  friend HclNumber operator+(const HclNumber& a, const HclNumber& b);
  friend HclNumber operator-(const HclNumber& a, const HclNumber& b);
  friend HclNumber operator*(const HclNumber& a, const HclNumber& b);
  friend HclNumber operator/(const HclNumber& a, const HclNumber& b);  ///< of zero: infinite
  HclNumber operator-() const;
  /// The remainder as cty's Modulo: a - b * trunc(a / b); b must not be zero.
  static HclNumber modulo(const HclNumber& a, const HclNumber& b);
  HclNumber floor() const;
  HclNumber ceil() const;
  HclNumber truncated() const;
  friend int compare(const HclNumber& a, const HclNumber& b);  ///< -1, 0, 1, exactly
  /// cty's equality: the same text. 0.1 of a double equals the literal 0.1 although compare() tells them apart.
  friend bool operator==(const HclNumber& a, const HclNumber& b);
  friend bool operator<(const HclNumber& a, const HclNumber& b) { return compare(a, b) < 0; }

  struct Big;  ///< private to hcl_number.cc

 private:
  friend struct HclNumberAccess;
  int64_t small_ = 0;
  uint32_t precision_ = 64;         ///< of small_
  std::shared_ptr<const Big> big_;  ///< set when the number is no int64
};

}  // namespace kiln
