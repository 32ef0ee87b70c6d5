// Eight doubles at a time, and the elementary functions that the log densities need.
//
// The type is the compiler's own vector extension (GCC and Clang): the same source gives SSE2, AVX2 or NEON code.
// exp and log are branch-free and good to about one unit in the last place; the rarer functions go lane by lane.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

namespace multilevel::numeric {

inline constexpr int lane_count = 8;

using Lanes = double __attribute__((vector_size(64)));
using LaneBits = std::int64_t __attribute__((vector_size(64)));
using UnsignedBits = std::uint64_t __attribute__((vector_size(64)));

inline Lanes broadcast(double x) { return Lanes{x, x, x, x, x, x, x, x}; }

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

inline void store_partial(double* to, Lanes x, int n) { std::memcpy(to, &x, sizeof(double) * static_cast<std::size_t>(n)); }

inline Lanes select(LaneBits mask, Lanes yes, Lanes no) { return mask ? yes : no; }

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

inline Lanes sqrt(Lanes x) {
  for (int i = 0; i < lane_count; ++i) x[i] = std::sqrt(x[i]);
  return x;
}

/// e^x: Cody-Waite reduction to |r| <= log(2)/2 and the Taylor polynomial of degree 13. Beyond +-708 it is infinity or
/// zero (the exact value has left, or is about to leave, the normal numbers); NaN stays NaN.
inline Lanes exp(Lanes x) {
  constexpr double shift = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer kept in the low bits
  constexpr double limit = 708.0;
  const Lanes inside = select(x < -limit, broadcast(-limit), select(x > limit, broadcast(limit), x));
  const Lanes shifted = inside * 1.4426950408889634 + shift;
  const Lanes n = shifted - shift;
  Lanes r = inside - n * 0.693147180369123816490;
  r -= n * 1.90821492927058770002e-10;
  Lanes p = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const Lanes scaled = from_bits(bits(p) + (bits(shifted) << 52));
  const Lanes upper = select(x > limit, broadcast(std::numeric_limits<double>::infinity()), scaled);
  return select(x != x, x, select(x < -limit, broadcast(0.0), upper));
}

/// log(u) + correction for normal u > 0: u = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), then the series of atanh.
inline Lanes log_corrected(Lanes u, Lanes correction) {
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
  const Lanes s = f / (f + 2.0);
  const Lanes z = s * s;
  Lanes r = z * (2.0 / 23.0) + 2.0 / 21.0;
  r = r * z + 2.0 / 19.0;
  r = r * z + 2.0 / 17.0;
  r = r * z + 2.0 / 15.0;
  r = r * z + 2.0 / 13.0;
  r = r * z + 2.0 / 11.0;
  r = r * z + 2.0 / 9.0;
  r = r * z + 2.0 / 7.0;
  r = r * z + 2.0 / 5.0;
  r = r * z + 2.0 / 3.0;
  r = r * z;
  const Lanes half_square = 0.5 * f * f;
  const Lanes low = e * 1.90821492927058770002e-10 + correction;
  return e * 0.693147180369123816490 - ((half_square - (s * (half_square + r) + low)) - f);
}

inline Lanes log(Lanes x) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double two_54 = 18014398509481984.0;
  const LaneBits subnormal = x < std::numeric_limits<double>::min();
  const Lanes scaled = select(subnormal, x * two_54, x);
  const Lanes value = log_corrected(scaled, select(subnormal, broadcast(-54.0 * 0.6931471805599453), broadcast(0.0)));
  const Lanes nan = broadcast(std::numeric_limits<double>::quiet_NaN());
  const Lanes low = select(x == 0.0, broadcast(-infinity), select(x > 0.0, value, nan));
  return select(x == infinity, broadcast(infinity), low);
}

/// log(1 + x) for 0 <= x <= 1 (what the softplus needs): the rounding of 1 + x is put back as a correction.
inline Lanes log1p_unit(Lanes x) {
  const Lanes u = 1.0 + x;
  return log_corrected(u, (x - (u - 1.0)) / u);
}

template <class Function>
inline Lanes lane_by_lane(Lanes x, Function function) {
  for (int i = 0; i < lane_count; ++i) x[i] = function(x[i]);
  return x;
}

inline Lanes expm1(Lanes x) {
  return lane_by_lane(x, [](double v) { return std::expm1(v); });
}

inline Lanes log1p(Lanes x) {
  return lane_by_lane(x, [](double v) { return std::log1p(v); });
}

}  // namespace multilevel::numeric
