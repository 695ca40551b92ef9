// Numbers of HCL: 512 bits of binary precision, rounding to nearest even, as cty's (Go's big.Float).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kiln {

/// An immutable number. Small integers are held as they are; anything else is shared. Never NaN; infinities exist
/// only as results (1/0 is refused by the evaluator before).
class HclNumber {
 public:
  HclNumber(int64_t integer = 0) : small_(integer) {}
  static HclNumber from_double(double value);
  /// A literal as HCL and cty read it: "15", "-1.5e3". nullopt when it is none. Exponents are bounded.
  static std::optional<HclNumber> parse(std::string_view text);
  /// Digits in base 2 to 62, optional sign (parseint). nullopt when they are none.
  static std::optional<HclNumber> parse_integer(std::string_view digits, int base);

  /// Shortest decimal text that reads back to the same number, without an exponent: Go's Text('f', -1).
  std::string text() const;
  /// Exactly `digits` decimals after the point: Go's Text('f', digits).
  std::string fixed(int digits) const;
  double to_double() const;
  bool is_integer() const;
  std::optional<int64_t> to_int64() const;  ///< when it is an integer in range
  int sign() const;

  friend HclNumber operator+(const HclNumber& a, const HclNumber& b);
  friend HclNumber operator-(const HclNumber& a, const HclNumber& b);
  friend HclNumber operator*(const HclNumber& a, const HclNumber& b);
  friend HclNumber operator/(const HclNumber& a, const HclNumber& b);  ///< b must not be zero
  HclNumber operator-() const;
  /// The remainder as cty's Modulo: a - b * trunc(a / b); b must not be zero.
  static HclNumber modulo(const HclNumber& a, const HclNumber& b);
  HclNumber floor() const;
  HclNumber ceil() const;
  HclNumber truncated() const;
  friend int compare(const HclNumber& a, const HclNumber& b);  ///< -1, 0, 1
  friend bool operator==(const HclNumber& a, const HclNumber& b) { return compare(a, b) == 0; }
  friend bool operator<(const HclNumber& a, const HclNumber& b) { return compare(a, b) < 0; }

  struct Big;  ///< private to hcl_number.cc

 private:
  explicit HclNumber(std::shared_ptr<const Big> big) : big_(std::move(big)) {}
  int64_t small_ = 0;
  std::shared_ptr<const Big> big_;  ///< set when the number is no int64
};

}  // namespace kiln
