// log Phi(x) and the inverse Mills ratio phi(x) / Phi(x), accurate in both tails.
#pragma once

#include <iterator>

#include "numeric/lanes.hpp"

namespace multilevel::numeric {

/// log Phi(x) and its derivative, the inverse Mills ratio m, which satisfies m' = -m (x + m).
template <class T>
struct NormalTailOf {
  T log_cdf, inverse_mills;
};
using NormalTail = NormalTailOf<double>;

/// (1 + 5/4 a) Phi(-a) / phi(a), a >= 0, which lies between 1.25 and 1.4: as a polynomial of degree 24 in
/// (a - 5) / (a + 5), its Chebyshev expansion (error 1e-17).
inline Lanes scaled_mills_ratio(Lanes a) {
  constexpr double coefficients[] = {
      1.3978587591860392,     -0.19696073175658851,   0.02449165716684873,     0.08202667755506,
      -0.11271089575572157,   0.09155379354569168,    -0.05316774614720553,    0.021926008732643484,
      -0.005389195909309418,  -5.973223469723935e-05, 0.0006091720771578168,   -0.0001685702619695108,
      -3.517057582861432e-05, 2.9182942925528036e-05, 2.0144444496970636e-07,  -4.249185793710502e-06,
      3.5423339284621655e-07, 6.39702288283272e-07,   -7.741472067434131e-08,  -1.007431953404658e-07,
      1.1473049787251308e-08, 1.428041420869966e-08,  -1.1833974401026718e-09, -1.2345290071315025e-09,
      6.299992530866755e-11};
  const Lanes t = 1.0 - 10.0 / (a + 5.0);
  Lanes sum = broadcast(coefficients[std::size(coefficients) - 1]);
  for (std::size_t k = std::size(coefficients) - 1; k-- > 0;) sum = sum * t + coefficients[k];
  return sum;
}

/// a Phi(-a) / phi(a), a > 20: 1 - 1/a^2 + 3/a^4 - ..., whose ninth term is below 1e-15. It has no more rounding than
/// a.
inline Lanes far_mills_ratio(Lanes a) {
  const Lanes t = 1.0 / (a * a);
  Lanes series = broadcast(1.0);
  for (int k = 9; k >= 1; --k) series = 1.0 - (2.0 * k - 1.0) * t * series;
  return series;
}

/// a^2 / 2 as a number that is exact and a rest, since a sum would round it and an exponential magnify what it loses.
struct HalfSquare {
  Lanes high, rest;
};
inline HalfSquare half_square(Lanes a) {
  const Lanes high = from_bits(bits(a) & ~((std::int64_t{1} << 27) - 1));
  return {0.5 * high * high, select(a < 1e100, 0.5 * (a - high) * (a + high), broadcast(0.0))};
}

/// (Phi(x) - 1/2) / x for |x| <= 1: a polynomial in x^2, its Chebyshev expansion (error 8e-18).
inline Lanes mean_density(Lanes x) {
  constexpr double coefficients[] = {0.3989422804014327,     -0.06649038006690543,    0.009973557010035022,
                                     -0.0011873282154680343, 0.00011543468751655941,  -9.444655793103845e-06,
                                     6.659679879655231e-07,  -4.1224107514160815e-08, 2.2704137585676e-09,
                                     -1.106432828275589e-10, 4.0743269774266276e-12};
  const Lanes square = x * x;
  Lanes sum = broadcast(coefficients[std::size(coefficients) - 1]);
  for (std::size_t k = std::size(coefficients) - 1; k-- > 0;) sum = sum * square + coefficients[k];
  return sum;
}

/// Of x < -1 by the logarithm of Mills' ratio, of x > 1 by that of one minus the upper tail, and of Phi(x) between.
inline NormalTailOf<Lanes> normal_tails(Lanes x) {
  constexpr double inverse_sqrt_2pi = 0.39894228040143267794;
  const LaneBits lower = x < -1.0, middle = abs(x) <= 1.0;
  const Lanes a = abs(x);
  Lanes scale = 1.0 + 1.25 * a, ratio = scaled_mills_ratio(a);
  if (const LaneBits far = a > 20.0; any(far)) {
    ratio = select(far, far_mills_ratio(a), ratio);
    scale = select(far, a, scale);
  }
  const auto [high, rest] = half_square(a);
  const Lanes density = inverse_sqrt_2pi * exp(-high) * (1.0 - rest + 0.5 * rest * rest), mills = ratio / scale;
  const Lanes upper = density * mills, most = 1.0 - upper, lost = ((1.0 - most) - upper) / most;
  const Lanes cdf = select(middle, 0.5 + x * mean_density(x), most);
  const Lanes small =
      log(select(lower, inverse_sqrt_2pi * mills, cdf)) + select(lower, -rest, select(middle, broadcast(0.0), lost));
  return {select(lower, small - high, small), select(lower, scale, density) / select(lower, ratio, cdf)};
}

inline NormalTail normal_tail(double x) {
  const NormalTailOf<Lanes> tails = normal_tails(broadcast(x));
  return {tails.log_cdf[0], tails.inverse_mills[0]};
}

}  // namespace multilevel::numeric
