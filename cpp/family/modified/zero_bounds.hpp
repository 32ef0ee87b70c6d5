// Upper bounds of the derivatives of a zero's log density, wherever eta is, where there are more zeros than the family
// has: with them a search can prove that it has found the largest mode. Derived in docs/theory.md, section 3.
#pragma once

#include <limits>

#include "family/modified/zero_part.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

inline constexpr double endless = std::numeric_limits<double>::infinity();
inline constexpr double most_bent = 0.0962250448649377;  // 1 / (6 sqrt(3)), the largest P (1 - P) (1 - 2 P)

/// Of a zero whose family has log P(0) = -w, w = k log(1 + e^eta / k), or w = e^eta where k is infinite: s = w', and
/// k (e^(w / k) - 1).
inline Lanes slope_of(Lanes w, Lanes k) { return numeric::select(k < endless, -k * numeric::expm1(-w / k), w); }
inline Lanes grown(Lanes w, Lanes k) { return numeric::select(k < endless, k * numeric::expm1(w / k), w); }

/// Upper bounds of p q times a function of w, wherever eta is. The logarithm of the product is concave in w, with a
/// slope of q - p + `slope`, which is not negative at `low` and not positive at `high`: a tangent bounds it.
template <class Slope, class Function>
Lanes largest_product(Lanes zeta, Lanes low, double least_high, Slope slope, Function function) {
  constexpr int halvings = 5;
  low = numeric::select(-zeta > low, -zeta, low);
  Lanes high = 3.0 - zeta;
  high = numeric::select(high > least_high, high, numeric::broadcast(least_high));
  high = numeric::select(high > low, high, low);
  const auto rises = [&](Lanes w, const Logistic& at) { return at.no - at.yes + slope(w); };
  for (int i = 0; i < halvings; ++i) {
    const Lanes middle = 0.5 * (low + high);
    const numeric::LaneBits up = rises(middle, Logistic(zeta + middle)) > 0.0;
    low = numeric::select(up, middle, low);
    high = numeric::select(up, high, middle);
  }
  const Logistic at(zeta + low);
  const Lanes rise = rises(low, at) * (high - low);
  return at.yes * at.no * numeric::exp(numeric::select(rise > 0.0, rise, Lanes{})) * function(low);
}

/// What bounds the derivatives of a zero, see ZeroInflated::bounds.
struct ZeroBounds {
  Lanes zeta, k, second, third;

  ZeroBounds(Lanes own_zeta, Lanes own_k) : zeta(own_zeta), k(own_k) {
    // k log(1 + n / k), where k (e^(w / k) - 1) is n
    const auto where_grown = [&](double n) {
      return numeric::select(k < endless, k * numeric::log1p(n / k), numeric::broadcast(n));
    };
    const auto power = [&](int n) {
      return largest_product(
          zeta, where_grown(n), 1.2 * n, [&](Lanes w) { return n / grown(w, k); },
          [&](Lanes w) {
            const Lanes s = slope_of(w, k);
            return n == 2 ? s * s : s * s * s;
          });
    };
    const Lanes none = where_grown(1.0), more = 1.0 + 1.0 / k;  // more s - 1 is negative below `none`
    second = largest_product(
        zeta, 2.0 * none, 3.2, [&](Lanes w) { return 1.0 / grown(w, k) + 1.0 / grown(w - none, k); },
        [&](Lanes w) {
          const Lanes s = slope_of(w, k);
          return s * (more * s - 1.0);
        });
    // s is below w, and q below e^(-zeta - w)
    const Lanes flat = most_bent * k, steep = numeric::exp(-1.0 - zeta);
    third = power(3) + 3.0 * power(2) + numeric::select(flat < steep, flat, steep);
  }
  bool is_of(Lanes other_zeta, Lanes other_k) const {
    return !numeric::any(zeta != other_zeta) && !numeric::any(k != other_k);
  }
};

}  // namespace multilevel::family
