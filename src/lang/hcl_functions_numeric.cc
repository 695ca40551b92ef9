// abs ceil floor log max min parseint pow signum sum. Source: go-cty's documentation of its standard library.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

HclValue from_float(double number) {
  if (std::isnan(number)) fail("the result is not a number");
  return HclValue::number(HclNumber::from_double(number));
}

/// The logarithm by fdlibm's polynomial, whose last digit is the one Go prints.
double fdlibm_log(double x) {
  if (std::isnan(x) || x < 0) return std::numeric_limits<double>::quiet_NaN();
  if (std::isinf(x)) return x;
  if (x == 0) return -std::numeric_limits<double>::infinity();
  constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
  constexpr double odd[] = {6.666666666666735130e-01, 2.857142874366239149e-01, 1.818357216161805012e-01,
                            1.479819860511658591e-01};
  constexpr double even[] = {3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01};
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < std::sqrt(2.0) / 2) {
    mantissa *= 2;
    --exponent;
  }
  double f = mantissa - 1, k = exponent, s = f / (2 + f), s2 = s * s, s4 = s2 * s2;
  double t1 = s2 * (odd[0] + s4 * (odd[1] + s4 * (odd[2] + s4 * odd[3])));
  double t2 = s4 * (even[0] + s4 * (even[1] + s4 * even[2]));
  double r = t1 + t2, half_square = 0.5 * f * f;
  return k * ln2_high - ((half_square - (s * (half_square + r) + k * ln2_low)) - f);
}

/// e^x by Taylor's series of x/16 and four doublings (Shibata's method, with fused operations), for the same
/// reason.
double taylor_exp(double x) {
  if (std::isnan(x) || std::fabs(x) > 700) return std::exp(x);
  constexpr double ln2_high = 0.69314718055966295651160180568695068359375,
                   ln2_low = 0.28235290563031577122588448175013436e-12;
  double n = std::nearbyint(x * 1.4426950408889634074);
  x = std::fma(-n, ln2_low, std::fma(-n, ln2_high, x)) * 0.0625;
  double sum = 1.0 / 40320;
  for (double factorial : {5040., 720., 120., 24., 6., 2., 1.}) sum = std::fma(sum, x, 1 / factorial);
  x *= sum;
  for (int i = 0; i < 3; ++i) x *= x + 2;
  return std::ldexp(std::fma(x + 2, x, 1.0), static_cast<int>(n));
}

/// The whole part of the power by squaring of the mantissa, the rest by exp and log: in that order, so that
/// the last digit is the one Go gives.
double power_by_squaring(double x, double y) {
  double whole = 0;
  double rest = std::modf(std::fabs(y), &whole);
  if (rest != 0 && x < 0) return std::numeric_limits<double>::quiet_NaN();
  if (whole >= 9.223372036854775808e18) return std::pow(x, y);
  double result = 1;
  int64_t result_exponent = 0;
  if (rest != 0) {
    if (rest > 0.5) {
      rest -= 1;
      whole += 1;
    }
    result = taylor_exp(rest * fdlibm_log(x));
  }
  int part_exponent = 0;
  double part = std::frexp(x, &part_exponent);
  int64_t exponent = part_exponent;
  for (auto i = static_cast<uint64_t>(whole); i != 0; i >>= 1) {
    if (exponent < -4096 || exponent > 4096) {  // out of a double's range whatever follows
      result_exponent += exponent;
      break;
    }
    if (i & 1) {
      result *= part;
      result_exponent += exponent;
    }
    part *= part;
    exponent *= 2;
    if (part < 0.5) {
      part += part;
      --exponent;
    }
  }
  if (y < 0) {
    result = 1 / result;
    result_exponent = -result_exponent;
  }
  return std::ldexp(result, static_cast<int>(result_exponent));
}

double go_pow(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (y == 1) return x;
  if (x == 0 || std::isinf(x) || std::isinf(y) || std::isnan(x) || std::isnan(y)) return std::pow(x, y);
  if (y == 0.5) return std::sqrt(x);
  if (y == -0.5) return 1 / std::sqrt(x);
  return power_by_squaring(x, y);
}

HclValue extreme(const Arguments& numbers, int wanted) {
  if (numbers.empty()) fail("must pass at least one number");
  const HclValue* best = &numbers[0];
  for (const auto& number : numbers) {
    if (compare(number.as_number(), best->as_number()) == wanted) best = &number;
  }
  return *best;
}

HclValue parse_int(const Arguments& arguments, const HclType&, const HclHost&) {
  const std::string& digits = arguments[0].as_string();
  int64_t base = whole_number(arguments[1], {}, 1);
  if (base < 2 || base > 62) fail("base must be a whole number between 2 and 62 inclusive", 1);
  if (digits.size() <= 65536) {  // what is longer has no exact number of 512 bits anyway
    if (auto number = HclNumber::parse_integer(digits, static_cast<int>(base)))
      return HclValue::number(*number);
  }
  fail(fmt::format("cannot parse {} as a base {} integer", go_quote(digits), base), 0);
}

HclType parse_int_type(const Arguments& arguments) {
  const HclType& type = arguments[0].type();
  if (!type.is(HclType::Kind::string)) {
    fail(fmt::format("first argument must be a string, not {}", type.friendly_name()), 0);
  }
  return HclType::number();
}

HclValue sum(const Arguments& arguments, const HclType& result, const HclHost&) {
  const HclValue& list = arguments[0];
  if (!list.type().is_sequence() && !list.type().is_keyed()) fail("cannot sum noniterable", 0);
  if (list.length() == 0) fail("cannot sum an empty list", 0);
  if (!list.type().is_sequence())
    fail("argument must be list, set, or tuple. Received " + list.type().friendly_name(), 0);
  if (!list.is_wholly_known()) return HclValue::unknown(result);
  std::optional<HclNumber> total;  // of the precision of what it adds up
  for (const auto& item : list.items()) {
    auto number = item.is_null() ? std::nullopt : hcl_convert(item, HclType::number());
    if (!number || number->is_null()) fail("argument must be list, set, or tuple of number values", 0);
    total = total ? *total + number->as_number() : number->as_number();
  }
  return HclValue::number(*total);
}

}  // namespace

void add_numeric(HclFunctionTable& table) {
  TypeRule gives_number = always(HclType::number());
  table["abs"] = function("Returns the number without its sign.", {number("num", takes_dynamic)},
                          gives_number, [](const Arguments& a, const HclType&, const HclHost&) {
                            return a[0].as_number().sign() < 0 ? HclValue::number(-a[0].as_number()) : a[0];
                          });
  table["ceil"] =
      function("Returns the smallest whole number that is not less than the given one.", {number("num")},
               gives_number, [](const Arguments& a, const HclType&, const HclHost&) {
                 return HclValue::number(a[0].as_number().ceil());
               });
  table["floor"] =
      function("Returns the greatest whole number that is not more than the given one.", {number("num")},
               gives_number, [](const Arguments& a, const HclType&, const HclHost&) {
                 return HclValue::number(a[0].as_number().floor());
               });
  table["log"] = function("Returns the logarithm of a number in a base.", {number("num"), number("base")},
                          gives_number, [](const Arguments& a, const HclType&, const HclHost&) {
                            return from_float(fdlibm_log(floating(a[0])) / fdlibm_log(floating(a[1])));
                          });
  table["max"] = function("Returns the greatest of the given numbers.", {}, number("numbers", takes_dynamic),
                          gives_number,
                          [](const Arguments& a, const HclType&, const HclHost&) { return extreme(a, 1); });
  table["min"] = function("Returns the smallest of the given numbers.", {}, number("numbers", takes_dynamic),
                          gives_number,
                          [](const Arguments& a, const HclType&, const HclHost&) { return extreme(a, -1); });
  table["parseint"] = function("Reads a whole number written in a base between 2 and 62.",
                               {any("number"), number("base")}, parse_int_type, parse_int);
  table["pow"] = function("Raises a number to a power.", {number("num"), number("power")}, gives_number,
                          [](const Arguments& a, const HclType&, const HclHost&) {
                            return from_float(go_pow(floating(a[0]), floating(a[1])));
                          });
  table["signum"] = function("Returns -1, 0 or 1: the sign of a whole number.", {number("num")}, gives_number,
                             [](const Arguments& a, const HclType&, const HclHost&) {
                               int64_t number = whole_number(a[0]);
                               return HclValue::number(number < 0 ? -1 : number > 0 ? 1 : 0);
                             });
  table["sum"] = function("Adds up the numbers of a list, set or tuple.", {any("list")}, gives_number, sum);
}

}  // namespace kiln::hcl_fn
