// The tails of Student's t distribution. A numerical integral is needed of the probability and its derivatives by the
// degrees of freedom alone, at one point: all other derivatives are those of the density.
//
// With z >= 0 the residual over sigma, L = log(1 + z^2 / n) and C the density at zero, what lies beyond z is
// C exp(-n L / 2) times one of
//   the integral of e^-p (n (1 - exp(-2 p / n - L)))^-1/2, p > 0, by a Gauss-Laguerre rule, where n L is not small;
//   z / n exp(-L / 2) sum of ((n + 1) / 2)_k / (n / 2 + 1)_k x^k, where x = 1 - y = exp(-L) is small;
// and half of all less C exp(-n L / 2) z exp(-L / 2) sum of ((n + 1) / 2)_k / (3 / 2)_k y^k otherwise.
#include <cmath>
#include <type_traits>
#include <vector>

#include "family/link.hpp"
#include "family/student_t_density.hpp"

namespace multilevel::family::student_t {

namespace {

using numeric::any;
using numeric::broadcast;
using numeric::LaneBits;
using numeric::log;

constexpr double far_exponent = 2.25;  // of n L / 2: its distance from the singularity of the integrand is what counts
constexpr double log_two = 0.69314718055994530942, negligible = 1e-18;
constexpr int most_terms = 200;  // fewer than 70 are needed

/// Nodes and weights of the Gauss-Laguerre rule, without weights that are lost in rounding.
struct Rule {
  std::vector<double> node, weight;
};

inline const Rule& rule() {
  static const Rule made = [] {
    constexpr int n = 40;
    Rule r;
    std::vector<long double> roots;
    while (static_cast<int>(roots.size()) < n) {
      long double x = 0.0L, before = 0.0L;
      // from the left of the roots that are left, Newton's steps never pass one
      for (int step = 0; step < 200; ++step) {
        long double p = 1.0L;
        before = 0.0L;
        for (int k = 1; k <= n; ++k) {
          const long double next = ((2 * k - 1 - x) * p - (k - 1) * before) / k;
          before = p;
          p = next;
        }
        const long double slope = x > 0.0L ? n * (p - before) / x : -static_cast<long double>(n);
        long double others = 0.0L;
        for (const long double root : roots) others += 1.0L / (x - root);
        const long double move = p / (slope - p * others);
        x -= move;
        if (std::fabs(move) <= 4.0L * std::numeric_limits<long double>::epsilon() * x) break;
      }
      const long double weight = x / (n * n * before * before);
      if (weight < static_cast<long double>(negligible)) break;
      r.node.push_back(static_cast<double>(x));
      r.weight.push_back(static_cast<double>(weight));
      roots.push_back(x);
    }
    return r;
  }();
  return made;
}

inline Lanes inverse_root(Lanes x) {
  return 1.0 / numeric::lane_by_lane(x, [](double own) { return std::sqrt(own); });
}
inline Taylor<2, Lanes> inverse_root(const Taylor<2, Lanes>& x) {
  const Lanes value = inverse_root(x.c[0]), inverse = 1.0 / x.c[0];
  const Lanes first = inverse * x.c[1], second = inverse * x.c[2];
  return {{value, -0.5 * value * first, value * (0.375 * first * first - 0.5 * second)}};
}

/// A probability, and the density at its end over it, which in a tail is no ratio of two small numbers.
template <class N>
struct Probability {
  N log_value;
  Lanes log_hazard;
};

/// What both sides of a tail are made of: N is a series in log n, or its value alone.
template <class N>
struct Tail {
  Lanes z;
  N log_df, n, log_ratio, exponent, log_front;

  Tail(Lanes distance, const N& own) : z(distance), log_df(own) {
    n = exp(log_df);
    log_ratio = log1p((z * z) * exp(-log_df));
    exponent = 0.5 * (n * log_ratio);
    log_front = constant_of(log_df) - exponent + broadcast(-half_log_two_pi);
  }

  N one() const { return numeric::constant_like(n, broadcast(1.0)); }

  N by_rule() const {
    const N per_n = exp(-log_df);
    N sum = numeric::constant_like(n, broadcast(0.0));
    for (std::size_t i = 0; i < rule().node.size(); ++i) {
      const N left = -(n * expm1(-((2.0 * rule().node[i]) * per_n + log_ratio)));
      sum = sum + rule().weight[i] * inverse_root(left);
    }
    return sum;
  }

  /// sum of ((n + 1) / 2)_k / (b)_k x^k
  N series(const N& b, const N& x, LaneBits wanted) const {
    const N a = 0.5 * n + 0.5;
    N term = one(), sum = term;
    for (int k = 0; k < most_terms; ++k) {
      term = term * ((a + static_cast<double>(k)) * x / (b + static_cast<double>(k)));
      sum = sum + term;
      if (!any(wanted & (numeric::constant_term(term) > negligible * numeric::constant_term(sum)))) break;
    }
    return sum;
  }

  /// Of what lies beyond z, or of the rest where `near` is -1; of a residual with sigma one.
  Probability<N> probability(Lanes near) const {
    const Lanes at = numeric::constant_term(log_ratio);
    const LaneBits by_integral = numeric::constant_term(exponent) >= far_exponent;
    const LaneBits by_x = ~by_integral & (at > log_two), by_y = ~by_integral & ~by_x;
    N log_share = numeric::constant_like(n, broadcast(-1.0)), middle = log_share;  // of what lies beyond
    if (any(by_integral)) log_share = log(by_rule());
    const N root = z * exp(-0.5 * log_ratio);  // of n y
    if (any(by_x)) {
      const N x = exp(-numeric::select(by_x, log_ratio, one()));
      const N sum = exp(-log_df) * root * series(0.5 * n + 1.0, x, by_x);
      log_share = numeric::select(by_integral, log_share, log(numeric::select(by_x, sum, one())));
    }
    if (any(by_y)) {
      const N y = -expm1(-numeric::select(by_y, log_ratio, one()));
      const N half = exp(log_front) * root * series(numeric::constant_like(n, broadcast(1.5)), y, by_y);
      middle = log(near * -half + 0.5);
    }
    const LaneBits in_tail = ~by_y & (near > 0.0);
    const N beyond = log_front + log_share;
    const N log_value = numeric::select(by_y, middle, numeric::select(in_tail, beyond, log1p(-exp(beyond))));
    const Lanes share = numeric::constant_term(log_share), log_density = numeric::constant_term(log_front) - 0.5 * at;
    return {log_value, numeric::select(in_tail, -0.5 * at - share, log_density - numeric::constant_term(log_value))};
  }
};

template <class Link>
struct LogTail {
  static constexpr int n_phi = 2;
  static constexpr bool two_numbers = true;

  /// Below the response (second = 1) or above it (-1).
  template <int D, class In>
  static Taylor<D, In> value(const Taylor<D, In>& eta, const Row& row, const Taylor<D, In>* phi) {
    const auto mu = Link::mean(eta);
    const Lanes residual = row.response - numeric::constant_term(mu);
    const Lanes z = numeric::abs(residual) * numeric::exp(-numeric::constant_term(phi[0]));
    const Lanes sign = -row.second;  // of the derivative by mu
    const Lanes near = numeric::select(residual * sign >= 0.0, broadcast(1.0), broadcast(-1.0));
    const Lanes log_df = numeric::constant_term(phi[1]);
    Row plain = row;
    plain.weight = broadcast(1.0);
    auto log_density = student_t::Density<Link>::value(eta, plain, phi);  // over the probability, once that is known
    const Lanes log_sigma = numeric::constant_term(phi[0]);
    Lanes log_p;
    In share;  // the probability over its value
    Taylor<D, In> density;
    if constexpr (std::is_same_v<In, Lanes>) {
      const auto p = Tail<Lanes>(z, log_df).probability(near);
      log_p = p.log_value;
      share = broadcast(1.0);
      log_density.c[0] = p.log_hazard - log_sigma;
      density = exp(log_density);
    } else {
      const auto p = Tail<Taylor<2, Lanes>>(z, {{log_df, broadcast(1.0), broadcast(0.0)}}).probability(near);
      const auto& by_df = p.log_value.c;
      log_p = by_df[0];
      log_density.c[0].value = p.log_hazard - log_sigma;
      density = exp(log_density);
      const In& at = density.c[0];
      const Lanes by_sigma = sign * residual;
      share.value = broadcast(1.0);
      share.slope = {by_sigma * at.value, by_df[1]};
      share.second = {by_sigma * at.slope[0], by_sigma * at.slope[1], 2.0 * by_df[2] + by_df[1] * by_df[1]};
    }
    return log(numeric::integrate(mu, share, sign * density)) + log_p;
  }
};

}  // namespace

template <class Link>
void log_tail(Order order, const Rows& rows, const RowDerivatives& out) {
  series_derivatives<LogTail<Link>>(order, rows, out);
}

template void log_tail<link::Identity>(Order, const Rows&, const RowDerivatives&);
template void log_tail<link::Log>(Order, const Rows&, const RowDerivatives&);

}  // namespace multilevel::family::student_t
