// What a beta density has of two gamma functions: the remainders of Stirling's formula at a = mu k and b = (1 - mu) k,
// both at once, because they can share a division and a logarithm.
#pragma once

#include <array>

#include "numeric/log_gamma.hpp"

namespace multilevel::numeric {

namespace log_gamma {

/// d^m/dt^m of the asymptotic series at x = e^t: each power of 1 / x is an eigenfunction.
template <std::size_t m>
inline Lanes far_derivative(Lanes inverse, Lanes square) {
  constexpr int terms = 7;
  constexpr auto scaled = [] {
    std::array<double, terms> c{1.0 / 12.0,   -1.0 / 360.0,      1.0 / 1260.0, -1.0 / 1680.0,
                                1.0 / 1188.0, -691.0 / 360360.0, 1.0 / 156.0};
    for (std::size_t k = 0; k < terms; ++k)
      for (std::size_t i = 0; i < m; ++i) c[k] *= -(2.0 * static_cast<double>(k) + 1.0);
    return c;
  }();
  Lanes sum = broadcast(scaled[terms - 1]);
  for (std::size_t k = terms - 1; k-- > 0;) sum = sum * square + scaled[k];
  return sum * inverse;
}

/// The derivatives by t of log(e^t + j), r = e^t / (e^t + j) and rest = j / (e^t + j), from the first on.
template <int D>
inline std::array<Lanes, 5> log_shifted(Lanes r, Lanes rest) {
  std::array<Lanes, 5> w{};
  w[1] = r;
  w[2] = r * rest;
  if constexpr (D >= 3) w[3] = w[2] * (rest - r);
  if constexpr (D >= 4) w[4] = w[2] * (1.0 - 6.0 * w[2]);
  return w;
}

/// One of the two on its way: of small x the series is taken at x + 10, and `rising` is (x + 1) ... (x + 9).
template <int D>
class OneRemainder {
 public:
  OneRemainder(Lanes x, Lanes t)
      : small_(x < static_cast<double>(shift)), x_(select(small_, x, broadcast(1.0))), t_(t) {
    up_ = x + select(small_, broadcast(shift), broadcast(0.0));
    inverse_ = 1.0 / up_;
    const Lanes square = inverse_ * inverse_;
    s_[0] = far_derivative<0>(inverse_, square);
    s_[1] = far_derivative<1>(inverse_, square);
    s_[2] = far_derivative<2>(inverse_, square);
    if constexpr (D >= 3) s_[3] = far_derivative<3>(inverse_, square);
    if constexpr (D >= 4) s_[4] = far_derivative<4>(inverse_, square);
  }

  bool any_small() const { return any(small_); }
  const std::array<Lanes, D + 1>& s() const { return s_; }

  Lanes rising() {
    product_[0] = broadcast(1.0);
    for (std::size_t j = 1; j < shift; ++j) product_[j] = product_[j - 1] * (x_ + static_cast<double>(j));
    return product_[shift - 1];
  }
  /// Moves the series from x + 10 to x, given 1 / rising(); the remainder itself still lacks log rising(), which is
  /// taken away where `small`.
  void move_down(Lanes inverse_rising) {
    constexpr double by = shift;
    std::array<Lanes, 5> sum{};
    for (std::size_t j = shift - 1; j > 0; --j) {
      const Lanes part = inverse_rising * product_[j - 1];
      inverse_rising *= x_ + static_cast<double>(j);
      const auto one = log_shifted<D>(x_ * part, static_cast<double>(j) * part);
      for (std::size_t m = 1; m <= D; ++m) sum[m] += one[m];
    }
    auto w = log_shifted<D>(x_ * inverse_, by * inverse_);
    w[0] = log(up_);
    const Lanes x = x_, more = x + (by - 0.5), gap = select(x > 0.0, x * (w[0] - t_), broadcast(0.0));
    std::array<Lanes, D + 1> near;
    near[0] = s_[0] + gap + (by - 0.5) * w[0] - 0.5 * t_ - by;
    near[1] = s_[1] * w[1] + gap + more * w[1] - x - 0.5 - sum[1];
    near[2] = s_[2] * w[1] * w[1] + s_[1] * w[2] + gap + 2.0 * x * (w[1] - 1.0) + more * w[2] - sum[2];
    if constexpr (D >= 3)
      near[3] = s_[3] * w[1] * w[1] * w[1] + 3.0 * s_[2] * w[1] * w[2] + s_[1] * w[3] + gap +
                3.0 * x * (w[1] + w[2] - 1.0) + more * w[3] - sum[3];
    if constexpr (D >= 4)
      near[4] = s_[4] * w[1] * w[1] * w[1] * w[1] + 6.0 * s_[3] * w[1] * w[1] * w[2] +
                s_[2] * (4.0 * w[1] * w[3] + 3.0 * w[2] * w[2]) + s_[1] * w[4] + gap +
                x * (4.0 * (w[1] + w[3] - 1.0) + 6.0 * w[2]) + more * w[4] - sum[4];
    for (std::size_t m = 0; m <= D; ++m) s_[m] = select(small_, near[m], s_[m]);
  }
  /// What rising() has where it counts.
  Lanes counted(Lanes rising) const { return select(small_, rising, broadcast(1.0)); }

 private:
  LaneBits small_;
  Lanes x_, t_, up_, inverse_;
  std::array<Lanes, D + 1> s_;
  std::array<Lanes, shift> product_;
};

}  // namespace log_gamma

/// s(a) + s(b), and the derivatives of each by its logarithm, the k-th in the k-th entry; the first entry is not used.
template <int D>
struct BetaRemainders {
  Lanes sum;
  std::array<Lanes, D + 1> a, b;
};

/// D is 2 or 4. The logarithms are given because arguments may be so small that they are zero.
template <int D>
inline BetaRemainders<D> beta_remainders(Lanes a, Lanes log_a, Lanes b, Lanes log_b) {
  log_gamma::OneRemainder<D> one(a, log_a), two(b, log_b);
  Lanes lost = broadcast(0.0);
  if (one.any_small() || two.any_small()) {
    const Lanes first = one.rising(), second = two.rising(), inverse = 1.0 / (first * second);
    one.move_down(second * inverse);
    two.move_down(first * inverse);
    lost = log(one.counted(first) * two.counted(second));
  }
  return {one.s()[0] + two.s()[0] - lost, one.s(), two.s()};
}

}  // namespace multilevel::numeric
