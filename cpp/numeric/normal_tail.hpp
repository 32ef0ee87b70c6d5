// log Phi(x) and the inverse Mills ratio phi(x) / Phi(x), accurate in both tails.
#pragma once

#include <cmath>

#include "numeric/lanes.hpp"

namespace multilevel::numeric {

struct NormalTail {
  double log_cdf;
  double inverse_mills;
};

inline NormalTail normal_tail(double x) {
  constexpr double log_sqrt_2pi = 0.91893853320467274178;
  if (x < -20.0) {
    // Phi(x) = phi(x)/(-x) (1 - 1/x^2 + 3/x^4 - ...): at x = -20 the ninth term is below 1e-15.
    const double t = 1.0 / (x * x);
    double series = 1.0;
    for (int k = 9; k >= 1; --k) series = 1.0 - (2 * k - 1) * t * series;
    return {-0.5 * x * x - log_sqrt_2pi - std::log(-x) + std::log(series), -x / series};
  }
  const double cdf = 0.5 * std::erfc(-x * 0.70710678118654752440);
  const double density = std::exp(-0.5 * x * x - log_sqrt_2pi);
  const double upper = 0.5 * std::erfc(x * 0.70710678118654752440);
  return {x > 0.0 ? std::log1p(-upper) : std::log(cdf), density / cdf};
}

}  // namespace multilevel::numeric
