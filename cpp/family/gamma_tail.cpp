// The tails of the Gamma distribution, along u = log y - log mu, where the log density of log y is c(k) + k (u - e^u).
//
// The tail beyond u is the density at u times S = integral of exp(-k climb(x)), x from zero on, with
// climb(x) = (e^u - 1) x + e^u (e^x - 1 - x) in the direction away from the mode, a sum of two that are not negative.
// So all that has to be summed over nodes is S and its derivatives by phi = log k: those by eta follow from the
// density, since the tail's derivative by u is the density at u.
#include <algorithm>
#include <cmath>

#include "family/gamma_density.hpp"
#include "family/link.hpp"
#include "family/tail_integral.hpp"

namespace multilevel::family::gamma {

namespace {

/// e^x - 1 - x: by its series where that would cancel.
Lanes expm1_less(Lanes x) {
  constexpr double reciprocal[] = {1.0 / 3.0, 1.0 / 4.0,  1.0 / 5.0,  1.0 / 6.0,  1.0 / 7.0, 1.0 / 8.0,
                                   1.0 / 9.0, 1.0 / 10.0, 1.0 / 11.0, 1.0 / 12.0, 1.0 / 13.0};
  Lanes series = numeric::broadcast(1.0);
  for (std::size_t k = std::size(reciprocal); k-- > 0;) series = 1.0 + x * reciprocal[k] * series;
  const numeric::LaneBits near = numeric::abs(x) < 0.25;
  return numeric::select(near, 0.5 * x * x * series, numeric::expm1(x) - x);
}

/// -log density on the way outwards from u.
struct Path {
  Path(Lanes from, Lanes own_shape)
      : shape(own_shape),
        side(numeric::select(from < 0.0, numeric::broadcast(-1.0), numeric::broadcast(1.0))),
        slope(numeric::expm1(from)),
        curvature(numeric::exp(from)) {}

  tail_integral::Climb climb(Lanes length) const {
    const Lanes x = side * length, more = expm1_less(x);
    return {shape * (slope * x + curvature * more), shape * side * (slope + curvature * (more + x))};
  }
  /// Longer than it takes to get far down: by what the climb is at least. Beyond two e^x - 1 - x is more than e^x / 2.
  Lanes too_long() const {
    constexpr double far = tail_integral::far;
    const Lanes steep = shape * slope, bend = shape * curvature, root = steep * steep + 2.0 * far * bend;
    const Lanes square = 2.0 * far / (steep + numeric::lane_by_lane(root, [](double x) { return std::sqrt(x); }));
    const Lanes power = numeric::log(2.0 * far / bend), two = numeric::broadcast(2.0);
    const Lanes above = least(square, numeric::select(power > two, power, two));
    return numeric::select(side > 0.0, above, least(far / shape + curvature, -far / steep));
  }
  static Lanes least(Lanes x, Lanes y) { return numeric::select(y < x, y, x); }

  Lanes shape, side, slope, curvature;
};

/// log S, without its derivatives by phi and with them.
void log_sum(const Path& path, Lanes length, Lanes& to) {
  Lanes sum = numeric::broadcast(0.0);
  tail_integral::for_each_node(length,
                               [&](Lanes x, double weight) { sum += weight * numeric::exp(-path.climb(x).value); });
  to = numeric::log(length * sum);
}
void log_sum(const Path& path, Lanes length, Taylor<2, Lanes>& to) {
  Lanes sum = numeric::broadcast(0.0), first = sum, second = sum;
  tail_integral::for_each_node(length, [&](Lanes x, double weight) {
    const Lanes climb = path.climb(x).value, own = weight * numeric::exp(-climb);
    sum += own;
    first -= own * climb;
    second += own * climb * (climb - 1.0);
  });
  const Lanes slope = first / sum;
  to = {{numeric::log(length * sum), slope, 0.5 * (second / sum - slope * slope)}};
}

/// k times the k-th coefficient of f(x), given the series of x up to there and the coefficients of f'(x) below.
template <int D, class T>
T times_degree(int k, const Taylor<D, T>& x, const Taylor<D, T>& derivative) {
  T sum = x.c[1] * derivative.c[k - 1];
  for (int j = 2; j <= k; ++j) sum = sum + numeric::broadcast(j) * (x.c[j] * derivative.c[k - j]);
  return sum;
}

template <class Link>
struct Tail {
  static constexpr int n_phi = 1;
  static constexpr bool two_numbers = true;

  /// Below the response (second = 1) or above it (-1).
  template <int D, class T>
  static Taylor<D, T> value(const Taylor<D, T>& eta, const Row& row, const Taylor<D, T>* phi) {
    const auto u = numeric::constant_like(eta, numeric::log(row.response)) - Link::log_mean(eta);
    const auto density = log_density(u, phi[0]);
    const Path path(numeric::constant_term(u), numeric::exp(numeric::constant_term(phi[0])));
    T sum;
    log_sum(path, tail_integral::reach(path.too_long(), [&](Lanes x) { return path.climb(x); }), sum);
    // Of the tail: d beyond / du = -side ratio, ratio = exp(density - beyond).
    Taylor<D, T> beyond, rest, ratio;
    beyond.c[0] = density.c[0] + sum;
    rest.c[0] = -sum;
    ratio.c[0] = exp(rest.c[0]);
    for (int k = 1; k <= D; ++k) {
      beyond.c[k] = (-1.0 / k * path.side) * times_degree(k, u, ratio);
      rest.c[k] = density.c[k] - beyond.c[k];
      ratio.c[k] = numeric::broadcast(1.0 / k) * times_degree(k, rest, ratio);
    }
    return select(path.side * row.second < 0.0, beyond, log1mexp(-beyond));
  }
};

}  // namespace

template <class Link>
void log_tail(Order order, const Rows& rows, const RowDerivatives& out) {
  series_derivatives<Tail<Link>>(order, rows, out);
}

template void log_tail<link::Log>(Order, const Rows&, const RowDerivatives&);
template void log_tail<link::Inverse>(Order, const Rows&, const RowDerivatives&);
template void log_tail<link::Identity>(Order, const Rows&, const RowDerivatives&);

}  // namespace multilevel::family::gamma
