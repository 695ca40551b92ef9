#include "lang/hcl_number.h"

#include <algorithm>
#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <limits>

namespace kiln {

using boost::multiprecision::cpp_int;

/// mantissa * 2^exponent. The mantissa is odd, or zero for the negative zero and infinities.
struct HclNumber::Big {
  bool negative = false;
  bool infinite = false;
  cpp_int mantissa;
  int64_t exponent = 0;
  uint32_t precision = 512;
};

namespace {

constexpr uint32_t literal_precision = 512;
constexpr uint32_t count_precision = 64;
constexpr uint32_t double_precision = 53;
/// Bounds the memory that one number and its text can take. Magnitudes lie within 2^-max_magnitude..2^max_magnitude.
constexpr int64_t max_magnitude = 1 << 18;
constexpr size_t max_number_digits = 100'000;

int64_t bit_length(const cpp_int& n) { return n.is_zero() ? 0 : static_cast<int64_t>(msb(n)) + 1; }

/// Cuts to `precision` bits, to the nearest, to even when halfway. `more`: the true value lies a little above.
void round_bits(cpp_int& mantissa, int64_t& exponent, uint32_t precision, bool more = false) {
  int64_t excess = bit_length(mantissa) - precision;
  if (excess <= 0) return;
  auto shift = static_cast<unsigned>(excess);
  bool half = bit_test(mantissa, shift - 1);
  bool above = more || lsb(mantissa) < shift - 1;
  mantissa >>= shift;
  exponent += excess;
  if (half && (above || bit_test(mantissa, 0))) ++mantissa;
}

}  // namespace

/// Makes numbers out of parts and takes them apart.
struct HclNumberAccess {
  using Big = HclNumber::Big;

  static uint32_t precision(const HclNumber& n) { return n.big_ ? n.big_->precision : n.precision_; }
  static bool is_small(const HclNumber& n) { return !n.big_; }
  static int64_t small(const HclNumber& n) { return n.small_; }

  static HclNumber from_small(int64_t value, uint32_t precision) {
    HclNumber out(value);
    out.precision_ = precision;
    return out;
  }

  static HclNumber from_big(Big big) {
    HclNumber out;
    out.big_ = std::make_shared<const Big>(std::move(big));
    return out;
  }

  static Big parts(const HclNumber& n) {
    if (n.big_) return *n.big_;
    Big out;
    out.negative = n.small_ < 0;
    out.mantissa = n.small_;
    if (out.negative) out.mantissa = -out.mantissa;
    out.precision = n.precision_;
    trim_zeros(out);
    return out;
  }

  static void trim_zeros(Big& big) {
    if (big.mantissa.is_zero()) return;
    unsigned zeros = lsb(big.mantissa);
    if (zeros == 0) return;
    big.mantissa >>= zeros;
    big.exponent += zeros;
  }

  /// Rounds, brings into the one form that each number has, keeps magnitudes in bounds.
  static HclNumber finish(Big big, bool more = false) {
    if (big.infinite) return from_big(std::move(big));
    round_bits(big.mantissa, big.exponent, big.precision, more);
    int64_t magnitude = big.exponent + bit_length(big.mantissa);
    if (big.mantissa.is_zero() || magnitude < -max_magnitude) {
      big.mantissa = 0;
      big.exponent = 0;
      return big.negative ? from_big(std::move(big)) : from_small(0, big.precision);
    }
    if (magnitude > max_magnitude) {
      big.mantissa = 0;
      big.infinite = true;
      return from_big(std::move(big));
    }
    trim_zeros(big);
    // An integer that would not print all its digits (one of a double, above 2^53) stays big.
    if (big.exponent >= 0 && magnitude < std::min<int64_t>(64, big.precision + 1)) {
      auto value = static_cast<int64_t>(big.mantissa << static_cast<unsigned>(big.exponent));
      return from_small(big.negative ? -value : value, big.precision);
    }
    return from_big(std::move(big));
  }
};

namespace {

using NumberAccess = HclNumberAccess;
using Big = HclNumber::Big;

uint32_t wider(const HclNumber& a, const HclNumber& b) {
  return std::max(NumberAccess::precision(a), NumberAccess::precision(b));
}

/// Does an integer result of this many bits' precision need no rounding?
bool is_exact_small(int64_t value, uint32_t precision) {
  constexpr int64_t limit = int64_t{1} << double_precision;
  return precision >= count_precision || (precision >= double_precision && -limit < value && value < limit);
}

/// -1, 0, 1: magnitudes of finite parts compared.
int compare_magnitudes(const Big& a, const Big& b) {
  if (a.mantissa.is_zero() || b.mantissa.is_zero()) return !a.mantissa.is_zero() - !b.mantissa.is_zero();
  int64_t high_a = a.exponent + bit_length(a.mantissa);
  int64_t high_b = b.exponent + bit_length(b.mantissa);
  if (high_a != high_b) return high_a < high_b ? -1 : 1;
  int order = a.exponent >= b.exponent
                  ? cpp_int(a.mantissa << static_cast<unsigned>(a.exponent - b.exponent)).compare(b.mantissa)
                  : a.mantissa.compare(cpp_int(b.mantissa << static_cast<unsigned>(b.exponent - a.exponent)));
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}

HclNumber add_parts(Big a, const Big& b, uint32_t precision) {
  a.precision = precision;
  if (a.infinite) return NumberAccess::from_big(std::move(a));
  if (b.infinite) return NumberAccess::from_big(b);
  int64_t low = std::min(a.exponent, b.exponent);
  if (a.mantissa.is_zero()) low = b.exponent;
  if (b.mantissa.is_zero()) low = a.exponent;
  auto aligned = [low](const Big& part) {
    if (part.mantissa.is_zero()) return cpp_int();
    cpp_int out = part.mantissa << static_cast<unsigned>(part.exponent - low);
    return part.negative ? cpp_int(-out) : out;
  };
  bool both_negative = a.negative && b.negative;
  cpp_int sum = aligned(a) + aligned(b);
  a.negative = sum.is_zero() ? both_negative : sum.sign() < 0;
  a.mantissa = abs(sum);
  a.exponent = low;
  return NumberAccess::finish(std::move(a));
}

HclNumber multiply_parts(Big a, const Big& b, uint32_t precision) {
  a.negative = a.negative != b.negative;
  a.precision = precision;
  if (a.infinite || b.infinite) {
    a.infinite = true;
    a.mantissa = 0;
    return NumberAccess::from_big(std::move(a));
  }
  a.mantissa *= b.mantissa;
  a.exponent += b.exponent;
  return NumberAccess::finish(std::move(a));
}

// Decimal text.

/// 0.DIGITS * 10^point; no zeros at the end. Zero has no digits.
struct Decimal {
  std::string digits;
  int64_t point = 0;

  char at(size_t i) const { return i < digits.size() ? digits[i] : '0'; }

  void trim() {
    digits.resize(digits.find_last_not_of('0') + 1);
    if (digits.empty()) point = 0;
  }

  void cut(size_t count) {
    digits.resize(count);
    trim();
  }

  void cut_up(size_t count) {
    while (count > 0 && digits[count - 1] == '9') --count;
    if (count == 0) {
      digits = "1";
      ++point;
      return;
    }
    digits.resize(count);
    ++digits[count - 1];
  }

  /// To the nearest with that many digits, to even when halfway.
  void round(int64_t count) {
    if (count < 0) {
      digits.clear();
      point = 0;
    }
    if (count < 0 || count >= static_cast<int64_t>(digits.size())) return;
    auto n = static_cast<size_t>(count);
    bool halfway = digits[n] == '5' && n + 1 == digits.size();
    bool up = halfway ? n > 0 && (digits[n - 1] - '0') % 2 != 0 : digits[n] >= '5';
    up ? cut_up(n) : cut(n);
  }
};

Decimal exact_decimal(const cpp_int& mantissa, int64_t exponent) {
  Decimal out;
  if (mantissa.is_zero()) return out;
  if (exponent >= 0) {
    out.digits = cpp_int(mantissa << static_cast<unsigned>(exponent)).str();
    out.point = static_cast<int64_t>(out.digits.size());
  } else {
    unsigned zeros = std::min<unsigned>(lsb(mantissa), static_cast<unsigned>(-exponent));
    exponent += zeros;
    auto tens = static_cast<unsigned>(-exponent);
    out.digits = cpp_int((mantissa >> zeros) * pow(cpp_int(5), tens)).str();
    out.point = static_cast<int64_t>(out.digits.size()) - static_cast<int64_t>(tens);
  }
  out.trim();
  return out;
}

/// The fewest digits that nothing but this number rounds to at its precision: those at which it has parted from both
/// ends of the interval of half a last place around it.
Decimal shortest_decimal(const Big& big) {
  Decimal exact = exact_decimal(big.mantissa, big.exponent);
  // log10(2) is above 0.301: so few digits differ from any other by more than the interval.
  if (exact.digits.size() + 1 <= static_cast<size_t>(big.precision) * 301 / 1000) return exact;
  int64_t shift = static_cast<int64_t>(big.precision) + 1 - bit_length(big.mantissa);
  cpp_int halves = big.mantissa << static_cast<unsigned>(shift);  // counts half last places
  int64_t exponent = big.exponent - shift;
  Decimal below = exact_decimal(halves - 1, exponent);
  Decimal above = exact_decimal(halves + 1, exponent);
  bool ends_count = !bit_test(halves, 1);
  for (size_t i = 0; i < exact.digits.size(); ++i) {
    char digit = exact.digits[i];
    bool may_cut = below.at(i) != digit || (ends_count && i + 1 == below.digits.size());
    bool may_cut_up = above.at(i) != digit &&
                      (ends_count || digit + 1 < above.at(i) || i + 1 < above.digits.size());
    if (may_cut && may_cut_up) {
      exact.round(static_cast<int64_t>(i) + 1);
      break;
    }
    if (may_cut) {
      exact.cut(i + 1);
      break;
    }
    if (may_cut_up) {
      exact.cut_up(i + 1);
      break;
    }
  }
  return exact;
}

std::string plain_text(const Decimal& decimal, int64_t decimals, bool negative) {
  std::string out = negative ? "-" : "";
  if (decimal.point > 0) {
    size_t whole = std::min<size_t>(decimal.digits.size(), static_cast<size_t>(decimal.point));
    out.append(decimal.digits, 0, whole);
    out.append(static_cast<size_t>(decimal.point) - whole, '0');
  } else {
    out += '0';
  }
  if (decimals > 0) out += '.';
  for (int64_t i = decimal.point; i < decimal.point + decimals; ++i) {
    out += i < 0 ? '0' : decimal.at(static_cast<size_t>(i));
  }
  return out;
}

std::string infinite_text(bool negative) { return negative ? "-Inf" : "+Inf"; }

// Reading.

struct Literal {
  std::string digits;
  int64_t decimals = 0;  ///< digits after the point
  int64_t exponent = 0;
  bool binary_exponent = false;
  bool negative = false;
};

bool is_decimal_digit(char c) { return c >= '0' && c <= '9'; }

/// Takes a sign off the text; true for "-".
bool take_sign(std::string_view& text) {
  bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  return negative;
}

std::optional<int64_t> read_exponent(std::string_view text) {
  bool negative = take_sign(text);
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_decimal_digit)) return std::nullopt;
  text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
  if (text.size() > 9) return std::nullopt;
  int64_t value = 0;
  for (char c : text) value = value * 10 + (c - '0');
  return negative ? -value : value;
}

std::optional<Literal> read_literal(std::string_view text) {
  Literal out;
  out.negative = take_sign(text);
  bool point = false;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    if (text[i] == '.' && !point) {
      point = true;
    } else if (is_decimal_digit(text[i])) {
      out.digits += text[i];
      out.decimals += point;
    } else {
      break;
    }
  }
  if (out.digits.empty() || out.digits.size() > max_number_digits) return std::nullopt;
  if (i == text.size()) return out;
  out.binary_exponent = text[i] == 'p' || text[i] == 'P';
  if (!out.binary_exponent && text[i] != 'e' && text[i] != 'E') return std::nullopt;
  auto exponent = read_exponent(text.substr(i + 1));
  if (!exponent) return std::nullopt;
  out.exponent = *exponent;
  return out;
}

cpp_int integer_of(std::string_view digits) {
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  return digits.empty() ? cpp_int() : cpp_int(std::string(digits));
}

/// 5^n the way big.Float takes it, so that the same bits come of it: exact up to 5^27, from there by products that
/// are rounded to 64 bits more than the number will have, and squares rounded to 128 more.
Big power_of_five(int64_t n) {
  constexpr int64_t exact = 27;
  Big out;
  out.mantissa = pow(cpp_int(5), static_cast<unsigned>(std::min(n, exact)));
  cpp_int square = 5;
  int64_t square_exponent = 0;
  for (int64_t rest = n - exact; rest > 0; rest >>= 1) {
    if (rest & 1) {
      out.mantissa *= square;
      out.exponent += square_exponent;
      round_bits(out.mantissa, out.exponent, literal_precision + 64);
    }
    square *= square;
    square_exponent *= 2;
    round_bits(square, square_exponent, literal_precision + 128);
  }
  return out;
}

HclNumber divide_parts(Big a, const Big& b, uint32_t precision) {
  a.negative = a.negative != b.negative;
  a.precision = precision;
  if (a.infinite || b.infinite) {
    a.infinite = a.infinite && !b.infinite;
    a.mantissa = 0;
    return NumberAccess::finish(std::move(a));
  }
  int64_t shift = std::max<int64_t>(0, int64_t{precision} + 2 + bit_length(b.mantissa) - bit_length(a.mantissa));
  cpp_int quotient;
  cpp_int rest;
  divide_qr(cpp_int(a.mantissa << static_cast<unsigned>(shift)), b.mantissa, quotient, rest);
  a.mantissa = std::move(quotient);
  a.exponent += -b.exponent - shift;
  return NumberAccess::finish(std::move(a), !rest.is_zero());
}

/// The whole part. `inexact` is set when there was a fraction.
Big whole_part(Big big, bool& inexact) {
  inexact = false;
  if (big.infinite || big.exponent >= 0) return big;
  inexact = true;
  if (-big.exponent >= bit_length(big.mantissa)) {
    big.mantissa = 0;
  } else {
    big.mantissa >>= static_cast<unsigned>(-big.exponent);
  }
  big.exponent = 0;
  if (big.mantissa.is_zero()) big.negative = false;
  NumberAccess::trim_zeros(big);
  return big;
}

/// The next integer downwards (-1) or upwards (1).
HclNumber to_integer(const HclNumber& n, int direction) {
  if (NumberAccess::is_small(n)) return n;
  bool inexact = false;
  Big whole = whole_part(NumberAccess::parts(n), inexact);
  if (!inexact) {
    if (whole.mantissa.is_zero() && !whole.infinite) whole.negative = false;
    return NumberAccess::finish(std::move(whole));
  }
  uint32_t precision = whole.precision;
  bool away = (n.sign() < 0) == (direction < 0);
  if (!away) return NumberAccess::finish(std::move(whole));
  Big one;
  one.mantissa = 1;
  one.negative = direction < 0;
  return add_parts(std::move(whole), one, precision);
}

}  // namespace

HclNumber HclNumber::from_double(double value) {
  Big big;
  big.precision = double_precision;
  if (std::isnan(value)) return NumberAccess::from_small(0, double_precision);
  big.negative = std::signbit(value);
  if (std::isinf(value)) {
    big.infinite = true;
    return NumberAccess::from_big(std::move(big));
  }
  int exponent = 0;
  double fraction = std::frexp(std::fabs(value), &exponent);
  big.mantissa = static_cast<int64_t>(std::ldexp(fraction, double_precision));
  big.exponent = exponent - static_cast<int>(double_precision);
  return NumberAccess::finish(std::move(big));
}

std::optional<HclNumber> HclNumber::parse(std::string_view text) {
  if (!text.empty() && text.size() <= 18 && std::all_of(text.begin(), text.end(), is_decimal_digit)) {
    int64_t value = 0;
    for (char c : text) value = value * 10 + (c - '0');
    return NumberAccess::from_small(value, literal_precision);
  }
  auto literal = read_literal(text);
  if (!literal) return std::nullopt;
  Big big;
  big.negative = literal->negative;
  big.mantissa = integer_of(literal->digits);
  if (big.mantissa.is_zero()) return NumberAccess::finish(std::move(big));
  int64_t fives = -literal->decimals;
  big.exponent = fives + literal->exponent;
  if (!literal->binary_exponent) fives += literal->exponent;
  if (std::abs(fives) > max_magnitude || std::abs(big.exponent) > 2 * max_magnitude) return std::nullopt;
  HclNumber out = fives == 0  ? NumberAccess::finish(std::move(big))
                  : fives > 0 ? multiply_parts(std::move(big), power_of_five(fives), literal_precision)
                              : divide_parts(std::move(big), power_of_five(-fives), literal_precision);
  if (out.is_infinite() || out.sign() == 0) return std::nullopt;
  return out;
}

std::optional<HclNumber> HclNumber::parse_integer(std::string_view digits, int base) {
  Big big;
  big.negative = take_sign(digits);
  if (base < 2 || base > 62 || digits.empty() || digits.size() > max_number_digits / 4) return std::nullopt;
  for (char c : digits) {
    int digit = is_decimal_digit(c)        ? c - '0'
                : (c >= 'a' && c <= 'z')   ? c - 'a' + 10
                : !(c >= 'A' && c <= 'Z')  ? base
                : base <= 36               ? c - 'A' + 10
                                           : c - 'A' + 36;
    if (digit >= base) return std::nullopt;
    big.mantissa = big.mantissa * base + digit;
  }
  big.negative = big.negative && !big.mantissa.is_zero();
  big.precision = static_cast<uint32_t>(std::max<int64_t>(count_precision, bit_length(big.mantissa)));
  return NumberAccess::finish(std::move(big));
}

std::string HclNumber::text() const {
  if (!big_) return std::to_string(small_);
  if (big_->infinite) return infinite_text(big_->negative);
  Decimal decimal = shortest_decimal(*big_);
  auto decimals = static_cast<int64_t>(decimal.digits.size()) - decimal.point;
  return plain_text(decimal, decimals, big_->negative);
}

std::string HclNumber::fixed(int digits) const {
  Big big = NumberAccess::parts(*this);
  if (big.infinite) return infinite_text(big.negative);
  Decimal decimal = exact_decimal(big.mantissa, big.exponent);
  decimal.round(decimal.point + digits);
  return plain_text(decimal, digits, big.negative);
}

std::string HclNumber::brief() const {
  constexpr int64_t significant = 10;
  if (!big_ && std::abs(small_ / 10'000) < 100'000) return std::to_string(small_);
  Big big = NumberAccess::parts(*this);
  if (big.infinite) return infinite_text(big.negative);
  Decimal decimal = exact_decimal(big.mantissa, big.exponent);
  decimal.round(significant);
  auto count = static_cast<int64_t>(decimal.digits.size());
  int64_t exponent = decimal.point - 1;
  int64_t limit = significant > count && count >= decimal.point ? count : significant;
  if (count == 0 || (exponent >= -4 && exponent < limit)) {
    return plain_text(decimal, std::max<int64_t>(count - decimal.point, 0), big.negative);
  }
  Decimal mantissa{decimal.digits, 1};
  std::string power = std::to_string(std::abs(exponent));
  return plain_text(mantissa, count - 1, big.negative) + (exponent < 0 ? "e-" : "e+") + (power.size() < 2 ? "0" : "") +
         power;
}

double HclNumber::to_double() const {
  if (!big_) return static_cast<double>(small_);
  double sign = big_->negative ? -1 : 1;
  if (big_->infinite) return sign * std::numeric_limits<double>::infinity();
  cpp_int mantissa = big_->mantissa;
  int64_t exponent = big_->exponent;
  // Below 2^-1022 a double has fewer bits.
  int64_t bits = std::min<int64_t>(double_precision, exponent + bit_length(mantissa) + 1074);
  if (bits < 0 || mantissa.is_zero()) return sign * 0.0;
  round_bits(mantissa, exponent, static_cast<uint32_t>(bits));
  int power = static_cast<int>(std::clamp<int64_t>(exponent, -10'000, 10'000));
  return sign * std::ldexp(static_cast<double>(mantissa), power);
}

bool HclNumber::is_integer() const { return !big_ || (!big_->infinite && big_->exponent >= 0); }
bool HclNumber::is_infinite() const { return big_ && big_->infinite; }

std::optional<int64_t> HclNumber::to_int64() const {
  if (!big_) return small_;
  if (!is_integer()) return std::nullopt;
  int64_t bits = big_->exponent + bit_length(big_->mantissa);
  bool least = big_->negative && big_->exponent == 63 && big_->mantissa == 1;
  if (bits > 63) return least ? std::optional(std::numeric_limits<int64_t>::min()) : std::nullopt;
  auto value = static_cast<int64_t>(big_->mantissa << static_cast<unsigned>(big_->exponent));
  return big_->negative ? -value : value;
}

int HclNumber::sign() const {
  if (!big_) return (small_ > 0) - (small_ < 0);
  if (!big_->infinite && big_->mantissa.is_zero()) return 0;
  return big_->negative ? -1 : 1;
}

HclNumber operator+(const HclNumber& a, const HclNumber& b) {
  uint32_t precision = wider(a, b);
  int64_t sum = 0;
  if (!a.big_ && !b.big_ && !__builtin_add_overflow(a.small_, b.small_, &sum) && is_exact_small(sum, precision)) {
    return NumberAccess::from_small(sum, precision);
  }
  return add_parts(NumberAccess::parts(a), NumberAccess::parts(b), precision);
}

HclNumber operator-(const HclNumber& a, const HclNumber& b) {
  uint32_t precision = wider(a, b);
  int64_t sum = 0;
  if (!a.big_ && !b.big_ && !__builtin_sub_overflow(a.small_, b.small_, &sum) && is_exact_small(sum, precision)) {
    return NumberAccess::from_small(sum, precision);
  }
  Big other = NumberAccess::parts(b);
  other.negative = !other.negative;
  return add_parts(NumberAccess::parts(a), other, precision);
}

HclNumber operator*(const HclNumber& a, const HclNumber& b) {
  uint32_t precision = wider(a, b);
  int64_t product = 0;
  if (!a.big_ && !b.big_ && !__builtin_mul_overflow(a.small_, b.small_, &product) && product != 0 &&
      is_exact_small(product, precision)) {
    return NumberAccess::from_small(product, precision);
  }
  // The product keeps up to 512 bits, or as many as it needs when that is more than its operands have.
  Big x = NumberAccess::parts(a);
  Big y = NumberAccess::parts(b);
  if (!x.infinite && !y.infinite) {
    cpp_int mantissa = x.mantissa * y.mantissa;
    int64_t exponent = 0;
    round_bits(mantissa, exponent, literal_precision);
    int64_t needed = mantissa.is_zero() ? 0 : bit_length(mantissa) - static_cast<int64_t>(lsb(mantissa));
    x.mantissa = std::move(mantissa);
    x.exponent += exponent;
    y.mantissa = y.mantissa.is_zero() ? 0 : 1;
    precision = std::max(precision, static_cast<uint32_t>(needed));
  }
  return multiply_parts(std::move(x), y, precision);
}

HclNumber operator/(const HclNumber& a, const HclNumber& b) {
  uint32_t precision = wider(a, b);
  if (b.sign() == 0) {
    Big infinite = NumberAccess::parts(a);
    infinite.infinite = true;
    infinite.negative = infinite.negative != NumberAccess::parts(b).negative;
    infinite.mantissa = 0;
    infinite.precision = precision;
    return NumberAccess::from_big(std::move(infinite));
  }
  if (!a.big_ && !b.big_ && a.small_ != 0 && b.small_ != -1 && a.small_ % b.small_ == 0) {
    return NumberAccess::from_small(a.small_ / b.small_, precision);
  }
  return divide_parts(NumberAccess::parts(a), NumberAccess::parts(b), precision);
}

HclNumber HclNumber::operator-() const {
  if (!big_ && small_ != 0 && small_ != std::numeric_limits<int64_t>::min()) {
    return NumberAccess::from_small(-small_, precision_);
  }
  Big out = NumberAccess::parts(*this);
  out.negative = !out.negative;
  return NumberAccess::finish(std::move(out));
}

HclNumber HclNumber::modulo(const HclNumber& a, const HclNumber& b) {
  if (b.sign() == 0) return a;
  if (!a.big_ && !b.big_) {
    return NumberAccess::from_small(b.small_ == -1 ? 0 : a.small_ % b.small_, a.precision_);
  }
  if (a.is_infinite() || b.is_infinite()) return a * b;
  bool inexact = false;
  uint32_t precision = NumberAccess::precision(a);
  Big whole = whole_part(NumberAccess::parts(a / b), inexact);
  if (whole.mantissa.is_zero()) whole.negative = false;
  whole.precision = precision;
  HclNumber times =
      multiply_parts(NumberAccess::parts(b), NumberAccess::parts(NumberAccess::finish(std::move(whole))), precision);
  Big taken = NumberAccess::parts(times);
  taken.negative = !taken.negative;
  return add_parts(NumberAccess::parts(a), taken, precision);
}

HclNumber HclNumber::floor() const { return to_integer(*this, -1); }
HclNumber HclNumber::ceil() const { return to_integer(*this, 1); }

HclNumber HclNumber::truncated() const {
  if (is_integer() || is_infinite()) return *this;
  bool inexact = false;
  Big whole = whole_part(NumberAccess::parts(*this), inexact);
  whole.precision = static_cast<uint32_t>(
      std::max<int64_t>(count_precision, whole.exponent + bit_length(whole.mantissa)));
  return NumberAccess::finish(std::move(whole));
}

int compare(const HclNumber& a, const HclNumber& b) {
  if (!a.big_ && !b.big_) return (a.small_ > b.small_) - (a.small_ < b.small_);
  int sign_a = a.sign();
  int sign_b = b.sign();
  if (sign_a != sign_b) return sign_a < sign_b ? -1 : 1;
  if (sign_a == 0) return 0;
  if (a.is_infinite() || b.is_infinite()) return (a.is_infinite() - b.is_infinite()) * sign_a;
  return compare_magnitudes(NumberAccess::parts(a), NumberAccess::parts(b)) * sign_a;
}

bool operator==(const HclNumber& a, const HclNumber& b) {
  if (!a.big_ && !b.big_) return a.small_ == b.small_;
  if (a.sign() != b.sign()) return false;
  if (a.sign() == 0) return true;
  if (NumberAccess::precision(a) == NumberAccess::precision(b)) {
    if (compare(a, b) == 0) return true;
  }
  return a.text() == b.text();
}

}  // namespace kiln
