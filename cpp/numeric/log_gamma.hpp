// The logarithm of the gamma function, for lanes and for series of any depth: log Gamma(x) is Stirling's formula
// (x - 1/2) log x - x + log(2 pi)/2 and a remainder that is small for large x. Densities are written with the
// remainder, so that what cancels between their gamma functions cancels on paper.
#pragma once

#include "numeric/taylor.hpp"

namespace multilevel::numeric {

namespace log_gamma {

inline constexpr int shift = 10;

/// Of x >= 10, by the asymptotic series; the first term left out is below 1e-15.
template <class T>
inline T far(const T& x) {
  const T one = constant_like(x, broadcast(1.0)), inverse = one / x, square = inverse * inverse;
  T sum = constant_like(x, broadcast(-691.0 / 360360.0));
  for (const double c : {1.0 / 1188.0, -1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0}) sum = sum * square + c;
  return sum * inverse;
}

}  // namespace log_gamma

/// log Gamma(x) - ((x - 1/2) log x - x + log(2 pi)/2) for x > 0.
template <class T>
inline T stirling_remainder(const T& x) {
  const LaneBits small = constant_term(x) < static_cast<double>(log_gamma::shift);
  bool any = false;
  for (int i = 0; i < lane_count; ++i) any |= small[i] != 0;
  if (!any) return log_gamma::far(x);
  // Small x are moved up: log Gamma(x) = log Gamma(x + 10) - log(x (x + 1) ... (x + 9)).
  const Lanes moved = select(small, broadcast(1.0), broadcast(0.0)), by = moved * static_cast<double>(log_gamma::shift);
  const T up = x + by;
  T product = moved * x + (1.0 - moved);
  for (int k = 1; k < log_gamma::shift; ++k) product = product * (moved * (x + static_cast<double>(k)) + (1.0 - moved));
  return log_gamma::far(up) + (x + -0.5) * log(up / x) + by * log(up) + -by - log(product);
}

}  // namespace multilevel::numeric
