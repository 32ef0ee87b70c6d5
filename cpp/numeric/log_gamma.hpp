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
  if (!any(small)) return log_gamma::far(x);
  // Small x are moved up: log Gamma(x) = log Gamma(x + 10) - log(x (x + 1) ... (x + 9)).
  const Lanes moved = select(small, broadcast(1.0), broadcast(0.0)), by = moved * static_cast<double>(log_gamma::shift);
  const T up = x + by;
  T product = moved * x + (1.0 - moved);
  for (int k = 1; k < log_gamma::shift; ++k) product = product * (moved * (x + static_cast<double>(k)) + (1.0 - moved));
  return log_gamma::far(up) + (x + -0.5) * log(up / x) + by * log(up) + -by - log(product);
}

/// The same of x = e^t and its derivatives by t, which may be anything down to minus infinity: for small x it is nearly
/// -t / 2. The k-th entry is the k-th derivative, D of them, at most four.
template <int D>
inline std::array<Lanes, D + 1> stirling_remainders_of_log(Lanes t) {
  static_assert(D <= 4);
  constexpr double by = log_gamma::shift;
  const Lanes x = exp(t), zero = broadcast(0.0);
  const LaneBits small = x < by;
  const Lanes up = x + select(small, broadcast(by), zero), inverse = 1.0 / up, square = inverse * inverse;
  // The asymptotic series: each power of 1 / x is an eigenfunction of the derivative by log x.
  constexpr int terms = 7;
  constexpr double coefficient[terms] = {1.0 / 12.0,   -1.0 / 360.0,      1.0 / 1260.0, -1.0 / 1680.0,
                                         1.0 / 1188.0, -691.0 / 360360.0, 1.0 / 156.0};
  std::array<Lanes, D + 1> far;
  double scaled[terms];
  for (int k = 0; k < terms; ++k) scaled[k] = coefficient[k];
  for (std::size_t m = 0; m <= D; ++m) {
    Lanes sum = broadcast(scaled[terms - 1]);
    for (int k = terms - 2; k >= 0; --k) sum = sum * square + scaled[k];
    far[m] = sum * inverse;
    for (int k = 0; k < terms; ++k) scaled[k] *= -(2.0 * k + 1.0);
  }
  if (!any(small)) return far;
  // Small x are moved up: log Gamma(x) = log Gamma(x + 10) - log(x (x + 1) ... (x + 9)). The derivatives of
  // w = log(x + 10), and of the logarithms of the other factors, are polynomials of r = x / (x + 10).
  const auto derivatives = [](Lanes r, Lanes rest, std::array<Lanes, 5>& w) {
    w[1] = r;
    w[2] = r * rest;
    w[3] = w[2] * (rest - r);
    w[4] = w[2] * (1.0 - 6.0 * w[2]);
  };
  std::array<Lanes, 5> w, one, sum{};
  Lanes product = broadcast(1.0);
  for (int j = 1; j < log_gamma::shift; ++j) {
    const Lanes factor = x + static_cast<double>(j), part = 1.0 / factor;
    product *= factor;
    derivatives(x * part, static_cast<double>(j) * part, one);
    for (std::size_t m = 1; m <= D; ++m) sum[m] += one[m];
  }
  w[0] = log(up);
  derivatives(x * inverse, by * inverse, w);
  const Lanes gap = select(x > 0.0, x * (w[0] - t), zero);
  std::array<Lanes, D + 1> near;
  near[0] = far[0] + gap + (by - 0.5) * w[0] - 0.5 * t - by - log(product);
  if constexpr (D >= 1) near[1] = far[1] * w[1] + gap + (x + (by - 0.5)) * w[1] - x - 0.5 - sum[1];
  if constexpr (D >= 2)
    near[2] = far[2] * w[1] * w[1] + far[1] * w[2] + gap + 2.0 * x * (w[1] - 1.0) + (x + (by - 0.5)) * w[2] - sum[2];
  if constexpr (D >= 3)
    near[3] = far[3] * w[1] * w[1] * w[1] + 3.0 * far[2] * w[1] * w[2] + far[1] * w[3] + gap +
              3.0 * x * (w[1] + w[2] - 1.0) + (x + (by - 0.5)) * w[3] - sum[3];
  if constexpr (D >= 4)
    near[4] = far[4] * w[1] * w[1] * w[1] * w[1] + 6.0 * far[3] * w[1] * w[1] * w[2] +
              far[2] * (4.0 * w[1] * w[3] + 3.0 * w[2] * w[2]) + far[1] * w[4] + gap +
              x * (4.0 * (w[1] + w[3] - 1.0) + 6.0 * w[2]) + (x + (by - 0.5)) * w[4] - sum[4];
  for (std::size_t m = 0; m <= D; ++m) near[m] = select(small, near[m], far[m]);
  return near;
}
template <int D>
inline Taylor<D, Lanes> stirling_remainder_of_log(const Taylor<D, Lanes>& t) {
  constexpr double factorial[] = {1.0, 1.0, 2.0, 6.0, 24.0};
  const auto derivatives = stirling_remainders_of_log<D>(t.c[0]);
  Taylor<D, Lanes> own;
  for (std::size_t k = 0; k <= D; ++k) own.c[k] = (1.0 / factorial[k]) * derivatives[k];
  return compose(t, own);
}

/// log(1 + v) - v for 0 <= v <= 1/4, with s = v / (2 + v): -s v + 2 (s^3 / 3 + s^5 / 5 + ...).
inline Lanes log1p_minus(Lanes v) {
  const Lanes s = v / (2.0 + v), z = s * s;
  Lanes sum = broadcast(1.0 / 17.0);
  for (const double k : {15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0}) sum = sum * z + 1.0 / k;
  return 2.0 * s * z * sum - s * v;
}

/// log Gamma(y + x) - log Gamma(x) - y log x of x = e^t: the logarithm of x (x + 1) ... (x + y - 1) / x^y, nearly
/// y (y - 1) / (2 x) for large x, where no digit is lost. With v = y / x it is
/// x ((1 + v) log(1 + v) - v) - log(1 + v) / 2 and a difference of remainders.
template <int D>
inline Taylor<D, Lanes> log_rising_ratio(Lanes y, const Taylor<D, Lanes>& t) {
  constexpr double far_below = -30.0, small = 0.25;
  const LaneBits none = (y == 0.0) | (y == 1.0);
  const Lanes log_y = log(select(none, broadcast(1.0), y));
  const Lanes share = select(t.c[0] > far_below, log1p(y * exp(-t.c[0])), softplus(log_y - t.c[0]));
  const Taylor<D, Lanes> log_share = integrate(t, share, -logistic(-t + log_y));
  const Taylor<D, Lanes> x = exp(t);
  Taylor<D, Lanes> value = (x + y) * log_share + -y;
  const LaneBits near = y * exp(-t.c[0]) < small;
  if (any(near)) {
    const Lanes some = select(near, t.c[0], log_y + 3.0);
    Taylor<D, Lanes> at = t;
    at.c[0] = some;
    const Taylor<D, Lanes> v = y * exp(-at), more = v + 1.0;
    const Taylor<D, Lanes> minus = integrate(at, log1p_minus(v.c[0]), v * v / more);
    value = select(near, exp(at) * more * minus + y * v, value);
  }
  value = value + -0.5 * log_share + stirling_remainder_of_log(t + log_share) - stirling_remainder_of_log(t);
  return select(none, constant_like(t, broadcast(0.0)), value);
}

}  // namespace multilevel::numeric
