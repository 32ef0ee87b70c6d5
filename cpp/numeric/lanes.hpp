// Several doubles at a time, and the elementary functions that the log densities need.
//
// The type is the compiler's own vector extension (GCC and Clang): the same source gives SSE2, AVX2 or NEON code. It is
// as wide as the registers are: compilers take wider ones apart badly. exp and log are branch-free and good to about
// one unit in the last place; the rarer functions go lane by lane.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

namespace multilevel::numeric {

#ifdef __AVX__
inline constexpr int lane_count = 4;
#else
inline constexpr int lane_count = 2;
#endif

using Lanes = double __attribute__((vector_size(8 * lane_count)));
using LaneBits = std::int64_t __attribute__((vector_size(8 * lane_count)));
using UnsignedBits = std::uint64_t __attribute__((vector_size(8 * lane_count)));

inline Lanes broadcast(double x) { return x - Lanes{}; }

inline Lanes load(const double* from) {
  Lanes x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

inline void store(double* to, Lanes x) { std::memcpy(to, &x, sizeof x); }

/// The first `n` lanes from memory, the others filled with `rest`.
inline Lanes load_partial(const double* from, int n, double rest) {
  Lanes x = broadcast(rest);
  std::memcpy(&x, from, sizeof(double) * static_cast<std::size_t>(n));
  return x;
}

inline void store_partial(double* to, Lanes x, int n) {
  std::memcpy(to, &x, sizeof(double) * static_cast<std::size_t>(n));
}

inline Lanes select(LaneBits mask, Lanes yes, Lanes no) { return mask ? yes : no; }

inline bool any(LaneBits mask) {
  bool found = false;
  for (int i = 0; i < lane_count; ++i) found |= mask[i] != 0;
  return found;
}

inline LaneBits bits(Lanes x) {
  LaneBits b;
  std::memcpy(&b, &x, sizeof b);
  return b;
}

inline Lanes from_bits(LaneBits b) {
  Lanes x;
  std::memcpy(&x, &b, sizeof x);
  return x;
}

inline Lanes abs(Lanes x) { return select(x < 0.0, -x, x); }

inline constexpr double most_exponent = 708.0;  // from here on e^x leaves the normal numbers

/// e^r - 1 and 2^n of x = r + n log 2 inside +-708, |r| <= log(2)/2: Cody-Waite reduction and r + r^2 P(r) with P the
/// Chebyshev fit of degree 9 (error 1e-16).
struct ExpParts {
  Lanes expm1;
  LaneBits exponent;  ///< n, in the bits where a double has its exponent
};
inline ExpParts exp_parts(Lanes x) {
  constexpr double shift = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer kept in the low bits
  constexpr double limit = most_exponent;
  const Lanes inside = select(x < -limit, broadcast(-limit), select(x > limit, broadcast(limit), x));
  const Lanes shifted = inside * 1.4426950408889634 + shift;
  const Lanes n = shifted - shift;
  Lanes r = inside - n * 0.693147180369123816490;
  r -= n * 1.90821492927058770002e-10;
  Lanes p = r * 2.5100385495510319078e-8 + 2.7620088445409748161e-7;
  p = p * r + 2.7557268459997064772e-6;
  p = p * r + 0.000024801521295954375131;
  p = p * r + 0.00019841269863053616878;
  p = p * r + 0.0013888888917213716901;
  p = p * r + 0.0083333333333300618325;
  p = p * r + 0.041666666666624127873;
  p = p * r + 0.16666666666666667453;
  p = p * r + 0.50000000000000010221;
  return {(p * r) * r + r, bits(shifted) << 52};
}

/// e^x. Beyond +-708 it is infinity or zero (the exact value has left, or is about to leave, the normal numbers); NaN
/// stays NaN.
inline Lanes exp(Lanes x) {
  constexpr double limit = most_exponent;
  const ExpParts parts = exp_parts(x);
  const Lanes scaled = from_bits(bits(parts.expm1 + 1.0) + parts.exponent);
  const Lanes upper = select(x > limit, broadcast(std::numeric_limits<double>::infinity()), scaled);
  return select(x != x, x, select(x < -limit, broadcast(0.0), upper));
}

/// e^x - 1, exact for small x.
inline Lanes expm1(Lanes x) {
  constexpr double limit = most_exponent;
  const ExpParts parts = exp_parts(x);
  const Lanes power = from_bits(bits(broadcast(1.0)) + parts.exponent);
  const Lanes scaled = power * parts.expm1 + (power - 1.0);
  const Lanes upper = select(x > limit, broadcast(std::numeric_limits<double>::infinity()), scaled);
  return select(x != x, x, select(x < -limit, broadcast(-1.0), upper));
}

/// log(1 + f) for sqrt(1/2) - 1 <= f <= sqrt(2) - 1, given s = f / (2 + f): 2 s + s R(s^2), the series of atanh, R a
/// Chebyshev fit (error 3e-16 of R). `low` is added where it loses nothing.
inline Lanes log_near_one(Lanes f, Lanes s, Lanes low) {
  const Lanes z = s * s;
  Lanes r = z * 0.14616585424888621989 + 0.15331710618210771568;
  r = r * z + 0.18182889455674946039;
  r = r * z + 0.22222211130259877029;
  r = r * z + 0.28571428626003268742;
  r = r * z + 0.39999999999899443233;
  r = r * z + 0.66666666666666696883;
  r = r * z;
  const Lanes half_square = 0.5 * f * f;
  return f - (half_square - (s * (half_square + r) + low));
}

/// log(u) + low for normal u > 0: u = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
inline Lanes log_normal_number(Lanes u, Lanes low) {
  constexpr std::uint64_t sqrt_half = 0x3FE6A09E667F3BCDULL;
  constexpr std::uint64_t bias = 1024;
  constexpr double two_52 = 4503599627370496.0;
  UnsignedBits raw;
  std::memcpy(&raw, &u, sizeof raw);
  const UnsignedBits exponent = (raw - sqrt_half + (bias << 52)) >> 52;  // e + 1024
  const UnsignedBits mantissa_bits = raw - (exponent << 52) + (bias << 52);
  const UnsignedBits exponent_bits = exponent | 0x4330000000000000ULL;  // the double 2^52 + e + 1024
  Lanes mantissa, e;
  std::memcpy(&mantissa, &mantissa_bits, sizeof mantissa);
  std::memcpy(&e, &exponent_bits, sizeof e);
  e -= two_52 + static_cast<double>(bias);
  const Lanes f = mantissa - 1.0;
  return e * 0.693147180369123816490 + log_near_one(f, f / (f + 2.0), e * 1.90821492927058770002e-10 + low);
}

inline Lanes log(Lanes x) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double two_54 = 18014398509481984.0;
  const LaneBits subnormal = x < std::numeric_limits<double>::min();
  const Lanes scaled = select(subnormal, x * two_54, x);
  const Lanes value =
      log_normal_number(scaled, select(subnormal, broadcast(-54.0 * 0.6931471805599453), broadcast(0.0)));
  const Lanes nan = broadcast(std::numeric_limits<double>::quiet_NaN());
  const Lanes low = select(x == 0.0, broadcast(-infinity), select(x > 0.0, value, nan));
  return select(x == infinity, broadcast(infinity), low);
}

struct LogisticParts {
  Lanes softplus;    ///< log(1 + e)
  Lanes reciprocal;  ///< 1 / (1 + e)
};

/// For 0 <= e <= 1, with a single division. 1 + e or, from sqrt(2) on, (1 + e)/2 is 1 + f without rounding.
inline LogisticParts logistic_parts(Lanes e) {
  const LaneBits large = e > 0.41421356237309504880;
  const Lanes f = select(large, 0.5 * (e - 1.0), e);
  const Lanes one_plus_e = 1.0 + e, two_plus_f = 2.0 + f;
  const Lanes both = 1.0 / (one_plus_e * two_plus_f);
  const Lanes s = f * (one_plus_e * both);
  const Lanes low = select(large, broadcast(0.69314718055994530942), broadcast(0.0));
  return {log_near_one(f, s, low), two_plus_f * both};
}

template <class Function>
inline Lanes lane_by_lane(Lanes x, Function function) {
  for (int i = 0; i < lane_count; ++i) x[i] = function(x[i]);
  return x;
}

/// log(1 + x), exact for small x: what 1 + x loses is added to first order.
inline Lanes log1p(Lanes x) {
  const Lanes u = 1.0 + x;
  const Lanes lost = select(x < 1e300, (x - (u - 1.0)) / u, broadcast(0.0));
  return log(u) + lost;
}

}  // namespace multilevel::numeric
