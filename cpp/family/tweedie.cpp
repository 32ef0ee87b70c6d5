// Tweedie(y | mean mu, dispersion d, power p), 1 < p < 2, variance d mu^p, phi = (log d, logit(p - 1)): a Poisson
// number of Gamma variables; y >= 0. With q = 2 - p and D the unit deviance the log density is -D / (2 d) at zero, and
// -D / (2 d) + R - log y above, where R does not depend on mu: R = log sum_j exp(t_j) - log(2 pi) - logit(p - 1) / 2,
// t_j = -(1 + a) (j log(j / J) - j + J) - s(j) - s(a j), a = q / (p - 1), J = y^q / (d q), s the remainder of
// Stirling's formula. That is the series of Dunn and Smyth (2005) with what is large in its terms taken together with
// the exponential: nothing large cancels. Where the terms change slowly a few of them, evenly spaced, have the same
// sum: the terms are close to a normal density, and the trapezoidal rule has no error that could be seen. As p
// approaches 2 it is the Gamma family of shape 1 / d. The prior weight multiplies the log density.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

namespace {

constexpr double gamma_from = 20.0;        // of logit(p - 1): differences from the Gamma are below 1e-8
constexpr double nearly_multiples = -2.2;  // of the same: p = 1.1
constexpr double log_2pi = 1.83787706640934548356;
constexpr double negligible = 42.0;     // logarithm of the share of a term that may be left out
constexpr double largest_peak = 1e100;  // far more than a search has any use for: the terms would overflow
constexpr double resolution = 1e-15;    // of the terms' numbers
constexpr double many_numbers = 1e7;    // at the peak: more, and the difference of variances loses digits
constexpr double smooth = 6.0;          // spread of terms whose sum is the integral
constexpr int most_terms = 100000;      // none has been seen to need more than a few hundred

/// log sum_j exp(t_j) with its derivatives by u = log J and t = logit(p - 1).
struct SeriesSum {
  double value, u, t, uu, ut, tt;
};

/// (1 + x) log(1 + x) - x
inline Lanes excess(Lanes x) {
  // the power series where the two cancel: x^2/2 - x^3/6 + x^4/12 - ...
  const Lanes direct = (1.0 + x) * numeric::log1p(x) - x;
  Lanes series = numeric::broadcast(0.0);
  for (int n = 12; n >= 2; --n) series = (n % 2 ? -1.0 : 1.0) / (n * (n - 1.0)) + x * series;
  return numeric::select(numeric::abs(x) < 0.03, x * x * series, direct);
}

/// Logarithms of a block of terms, and where derivatives are asked for those by t, and by u with j / J held.
struct Terms {
  Lanes value, slope, bend, stretch, stretch_bend;
};

template <bool by_phi>
Terms terms(Lanes number, double peak, double log_peak, double a) {
  const Lanes apart = (number - peak) / peak;
  // for terms far above the peak the ratio is better than the difference from one
  const Lanes far = number * (numeric::log(number) - log_peak) - number + peak;
  const Lanes distance = numeric::select(numeric::abs(apart) < 0.5, peak * excess(apart), far);
  const Lanes zero = numeric::broadcast(0.0);
  Terms own{zero, zero, zero, zero, zero};
  if constexpr (by_phi) {
    // s at x = a j as a series in log x: the derivatives by t follow with a minus sign each
    Taylor<2, Lanes> x;
    x.c[0] = a * number;
    x.c[1] = x.c[0];
    x.c[2] = 0.5 * x.c[0];
    const auto remainder = numeric::stirling_remainder(x);
    own.value = -(1.0 + a) * distance - numeric::stirling_remainder(number) - remainder.c[0];
    own.slope = a * distance + remainder.c[1];
    own.bend = -a * distance - 2.0 * remainder.c[2];
    // where it is used s(j) is 1 / (12 j)
    const Lanes small = 1.0 / (12.0 * number);
    own.stretch = -(1.0 + a) * distance + small - remainder.c[1];
    own.stretch_bend = -(1.0 + a) * distance - small - 2.0 * remainder.c[2];
  } else {
    own.value = -(1.0 + a) * distance - numeric::stirling_remainder(number) - numeric::stirling_remainder(a * number);
  }
  return own;
}

/// Sums over the terms, each divided by exp(top), the largest so far.
struct TermSums {
  double top = -std::numeric_limits<double>::infinity();
  double total = 0.0, u = 0.0, t = 0.0, uu = 0.0, ut = 0.0, tt = 0.0, own = 0.0;
  double stretch = 0.0, stretch_square = 0.0, stretch_bend = 0.0;

  void rescale(double to) {
    const double by = std::exp(top - to);
    for (double* sum : {&total, &u, &t, &uu, &ut, &tt, &own, &stretch, &stretch_square, &stretch_bend}) *sum *= by;
    top = to;
  }

  template <bool by_phi>
  void add(const Terms& terms, Lanes away) {
    const Lanes share = numeric::exp(terms.value - top);
    for (int i = 0; i < lane_count; ++i) total += share[i];
    if constexpr (by_phi) {
      const Lanes share_u = share * away, share_t = share * terms.slope;
      for (int i = 0; i < lane_count; ++i) {
        u += share_u[i];
        t += share_t[i];
        uu += share_u[i] * away[i];
        ut += share_u[i] * terms.slope[i];
        tt += share_t[i] * terms.slope[i];
        own += share[i] * terms.bend[i];
        stretch += share[i] * terms.stretch[i];
        stretch_square += share[i] * terms.stretch[i] * terms.stretch[i];
        stretch_bend += share[i] * terms.stretch_bend[i];
      }
    }
  }
};

template <bool by_phi>
SeriesSum series_sum(double log_peak, double a) {
  const double peak = std::exp(log_peak), spread = std::sqrt(peak / (1.0 + a));
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  if (!(peak < largest_peak && a < largest_peak)) return {nan, nan, nan, nan, nan, nan};
  const double stride = std::fmax(1.0, std::floor(spread / 3.0));
  if (!(stride >= resolution * peak)) return {nan, nan, nan, nan, nan, nan};  // no number between two terms
  const double first = std::fmax(1.0, std::floor(peak));
  const Lanes order = [] {
    Lanes x{};
    for (int i = 0; i < lane_count; ++i) x[i] = i;
    return x;
  }();
  TermSums sums;
  // Upwards from the peak, then downwards; whole blocks of terms.
  for (const double direction : {1.0, -1.0}) {
    double at = direction > 0.0 ? first : first - stride;
    for (int block = 0; block < most_terms && at >= 1.0; ++block, at += direction * stride * lane_count) {
      const Lanes j = at + (direction * stride) * order;
      const LaneBits there = j >= 1.0;
      const Lanes number = numeric::select(there, j, numeric::broadcast(1.0));
      Terms own = terms<by_phi>(number, peak, log_peak, a);
      own.value = numeric::select(there, own.value, numeric::broadcast(-std::numeric_limits<double>::infinity()));
      double largest = own.value[0];
      for (int i = 1; i < lane_count; ++i) largest = std::fmax(largest, own.value[i]);
      if (largest > sums.top) sums.rescale(largest);
      sums.add<by_phi>(own, (1.0 + a) * (number - peak));
      // not with terms that are no numbers either: the sum is none then
      if (!(largest >= sums.top - negligible && std::isfinite(sums.top))) break;
    }
  }
  SeriesSum r{};
  r.value = sums.top + std::log(sums.total * stride);
  if constexpr (by_phi) {
    r.u = sums.u / sums.total;
    r.t = sums.t / sums.total;
    r.uu = sums.uu / sums.total - r.u * r.u - (1.0 + a) * peak;
    if (peak > many_numbers && spread > smooth) {
      // The same where the sum is J times an integral over j / J: nothing large cancels.
      const double mean = sums.stretch / sums.total;
      r.uu = sums.stretch_square / sums.total - mean * mean + sums.stretch_bend / sums.total;
    }
    r.ut = sums.ut / sums.total - r.u * r.t - a / (1.0 + a) * r.u;
    r.tt = sums.tt / sums.total - r.t * r.t + sums.own / sums.total;
  }
  return r;
}

/// The sums of the last rows, kept by this thread: they do not change with eta, which is all that a search for
/// conditional modes and the nodes of a quadrature move.
template <bool by_phi>
SeriesSum kept_sum(double u, double t) {
  struct Kept {
    double u = std::numeric_limits<double>::quiet_NaN(), t = u;
    SeriesSum sum{};
  };
  constexpr int bits = 12;
  thread_local std::vector<Kept> kept(std::size_t{1} << bits);
  const auto mixed = std::bit_cast<std::uint64_t>(u) + 0x9E3779B97F4A7C15u * std::bit_cast<std::uint64_t>(t);
  Kept& own = kept[static_cast<std::size_t>((mixed * 0xD6E8FEB86659FD93u) >> (64 - bits))];
  if (own.u != u || own.t != t) own = {u, t, series_sum<by_phi>(u, std::exp(-t))};
  return own.sum;
}

/// log sum_j exp(t_j) as a function of u and t.
inline Lanes log_series(Lanes u, Lanes t, LaneBits wanted) {
  Lanes r{};
  for (int i = 0; i < lane_count; ++i)
    if (wanted[i]) r[i] = kept_sum<false>(u[i], t[i]).value;
  return r;
}
template <int R>
numeric::SecondOrder<R> log_series(const numeric::SecondOrder<R>& u, const numeric::SecondOrder<R>& t,
                                   LaneBits wanted) {
  numeric::SecondOrder<R> r{};
  for (int i = 0; i < lane_count; ++i) {
    if (!wanted[i]) continue;
    const SeriesSum at = kept_sum<true>(u.value[i], t.value[i]);
    r.value[i] = at.value;
    for (int g = 0, pair = 0; g < R; ++g) {
      const std::size_t a = static_cast<std::size_t>(g);
      r.slope[a][i] = at.u * u.slope[a][i] + at.t * t.slope[a][i];
      for (int h = 0; h <= g; ++h, ++pair) {
        const std::size_t b = static_cast<std::size_t>(h), ab = static_cast<std::size_t>(pair);
        r.second[ab][i] = at.u * u.second[ab][i] + at.t * t.second[ab][i] + at.uu * u.slope[a][i] * u.slope[b][i] +
                          at.ut * (u.slope[a][i] * t.slope[b][i] + u.slope[b][i] * t.slope[a][i]) +
                          at.tt * t.slope[a][i] * t.slope[b][i];
      }
    }
  }
  return r;
}

/// The part of the log density that the mean does not change, without -log y; zero where y is.
inline Lanes own_part(Lanes log_y, Lanes log_d, Lanes t, LaneBits above) {
  const Lanes u = numeric::logistic(-t) * log_y + numeric::softplus(t) - log_d;
  return numeric::select(above, log_series(u, t, above) - 0.5 * t - log_2pi, numeric::broadcast(0.0));
}
template <int R>
numeric::SecondOrder<R> own_part(Lanes log_y, const numeric::SecondOrder<R>& log_d, const numeric::SecondOrder<R>& t,
                                 LaneBits above) {
  const auto u = log_y * numeric::logistic(-t) + numeric::softplus(t) - log_d;
  const Lanes one = numeric::select(above, numeric::broadcast(1.0), numeric::broadcast(0.0));
  return log_series(u, t, above) + one * (-0.5 * t + -log_2pi);
}
template <int D, class T>
Taylor<D, T> own_part(Lanes log_y, const Taylor<D, T>& log_d, const Taylor<D, T>& t, LaneBits above) {
  auto r = numeric::constant_like(log_d, numeric::broadcast(0.0));
  r.c[0] = own_part(log_y, log_d.c[0], t.c[0], above);
  return r;
}

template <class Link>
struct Density {
  static constexpr int n_phi = 2;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const LaneBits above = row.response > 0.0;
    const Lanes log_y = numeric::log(numeric::select(above, row.response, numeric::broadcast(1.0)));
    const T q = of_parameter(phi[1], [](const auto& own) { return numeric::logistic(-own); });
    const T precision = of_parameter(-phi[0], [](const auto& own) { return exp(own); });
    const T log_mu = Link::log_mean(eta);
    // D/2: with r = y / mu, mu^q (r - 1 - (r^q - 1) / q) / (p - 1) above, mu^q / q at zero
    const T scale = exp(q * log_mu) * precision;
    const T log_ratio = numeric::constant_like(eta, log_y) - log_mu;
    const T per_q = of_parameter(phi[1], [](const auto& own) { return exp(numeric::softplus(own)); });
    const T per_power = of_parameter(phi[1], [](const auto& own) { return exp(numeric::softplus(-own)); });
    const T some = (expm1(log_ratio) - expm1(q * log_ratio) * per_q) * per_power;
    const Lanes positive = numeric::select(above, numeric::broadcast(1.0), numeric::broadcast(0.0));
    const T half_deviance = scale * (weighted(positive, some) + weighted(1.0 - positive, per_q));
    return weighted(row.weight, own_part(log_y, phi[0], phi[1], above) - half_deviance);
  }
};

template <class Link>
class Tweedie final : public Family {
 public:
  std::string name() const override { return "tweedie"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::nonnegative; }
  std::vector<Parameter> parameters() const override {
    Parameter dispersion{"dispersion", "the variance is dispersion mu^power"};
    Parameter power{"power", "between 1 (Poisson) and 2 (Gamma)", gamma_from, "gamma"};
    power.scale = Scale::power;
    power.part = "power";
    return {dispersion, power};
  }
  std::string reference() const override { return "Dunn and Smyth (2005), Statistics and Computing 15, 267-280"; }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = y > 0.0 ? -prior_weight * std::log(y) : 0.0;
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density<Link>>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<2>(rows, i);
      const auto log_mean = Link::log_mean(variable<1>(b.eta, Lanes{}));
      const Lanes slope = log_mean.c[1];
      put(out, i, b.n,
          b.weight * slope * slope * numeric::exp(numeric::logistic(-b.phi[1]) * log_mean.c[0] - b.phi[0]));
    }
  }

  double start_eta(const Observation& row) const override { return Link::of_mean(row.response + 0.1); }
  void start_phi(double mean_square, double* phi) const override {
    phi[0] = mean_square > 0.0 ? std::log(mean_square) : 0.0;
    phi[1] = 0.0;
  }

  /// Close to p = 1 responses are nearly multiples of d, and how often they hold it is not told by one maximum: with
  /// the same spread k times d goes with a k-th of p - 1.
  std::vector<std::vector<double>> other_places(const double* phi) const override {
    if (!(phi[1] < nearly_multiples)) return {};
    std::vector<std::vector<double>> found;
    for (const double log_k : {1.1, 0.7, -0.7, -1.1, 0.4, -0.4}) found.push_back({phi[0] + log_k, phi[1] - log_k});
    return found;
  }

  double supremum(const Observation& row, const double* phi) const override {  // at mu = y
    if (row.response == 0.0) return 0.0;
    const auto all = [](double x) { return numeric::broadcast(x); };
    return row.weight * own_part(all(std::log(row.response)), all(phi[0]), all(phi[1]), all(1.0) > 0.0)[0];
  }
  int recession(const Observation& row) const override { return row.response == 0.0 ? -1 : 0; }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double* phi) const override {
    return std::pow(mu, 1.0 + link::Logit::inverse(phi[1]));
  }
  double dispersion(const double* phi) const override { return std::exp(phi[0]); }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const double q = link::Logit::inverse(-phi[1]), scale = 2.0 * std::pow(mu, q), log_ratio = std::log(y / mu);
    if (!(y > 0.0)) return scale / q;
    return scale * (std::expm1(log_ratio) - std::expm1(q * log_ratio) / q) / link::Logit::inverse(phi[1]);
  }
};

template <class Link>
Entry entry() {
  return {"tweedie", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<Tweedie<Link>>(); }};
}

}  // namespace

std::vector<Entry> tweedie_entries() { return {entry<link::Log>()}; }

}  // namespace multilevel::family
