// Weibull(y | mean mu, shape k): mu = scale Gamma(1 + 1 / k), phi = log k; y > 0. With u = k log(y / scale) the log
// density is log k + u - exp(u) - log y. As with every family mu is the mean of the response; the logarithm of the
// scale, which survival models have, is log Gamma(1 + 1 / k) less than log mu. The prior weight multiplies the log
// density.
#include <cmath>

#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

namespace {

/// log Gamma(1 + x) for 0 <= x <= most, by its power series: zeta(n) (-x)^n / n from n = 2 on, and -Euler's constant x.
namespace near_one {

inline constexpr double most = 0.02, euler = 0.57721566490153286061;
inline constexpr double zeta[] = {1.6449340668482264365, 1.2020569031595942854, 1.0823232337111381915,
                                  1.0369277551433699263, 1.0173430619844491397, 1.0083492773819228268,
                                  1.0040773561979443394, 1.0020083928260822144, 1.0009945751278180853};
inline constexpr int terms = 9;

template <class T>
T log_gamma_over_x(const T& x) {
  T sum = numeric::constant_like(x, numeric::broadcast(0.0));
  for (int n = terms + 1; n >= 2; --n) sum = (sum + (n % 2 ? -1.0 : 1.0) * zeta[n - 2] / n) * x;
  return sum + -euler;
}

}  // namespace near_one

/// log Gamma(1 + x) / x
template <class T>
T log_gamma_over_x(const T& x) {
  const LaneBits near = numeric::constant_term(x) < near_one::most;
  bool all = true;
  for (int i = 0; i < lane_count; ++i) all = all && near[i] != 0;
  if (all) return near_one::log_gamma_over_x(x);
  const T above = x + 1.0;
  return ((x + 0.5) * log1p(x) - above + 0.91893853320467274178 + numeric::stirling_remainder(above)) / x;
}

/// Variance over squared mean: Gamma(1 + 2x) / Gamma(1 + x)^2 - 1 with x = 1 / k.
double squared_variation(double x) {
  if (2.0 * x >= near_one::most) return std::expm1(std::lgamma(1.0 + 2.0 * x) - 2.0 * std::lgamma(1.0 + x));
  double sum = 0.0, power = x * x, two = 4.0;
  for (int n = 2; n <= near_one::terms + 1; ++n, power *= -x, two *= 2.0)
    sum += near_one::zeta[n - 2] * power * (two - 2.0) / n;
  return std::expm1(sum);
}

template <class Link>
struct Density {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const T shape = of_parameter(phi[0], [](const auto& own) { return exp(own); });
    // k log Gamma(1 + 1 / k), which keeps its digits as the shape grows
    const T from_scale = of_parameter(phi[0], [](const auto& own) { return log_gamma_over_x(exp(-own)); });
    const T log_ratio = numeric::constant_like(eta, numeric::log(row.response)) - Link::log_mean(eta);
    const T u = shape * log_ratio + from_scale;
    return weighted(row.weight, u - exp(u) + phi[0]);
  }
};

/// Below the response (second = 1) or above it (-1): log(1 - exp(-e^u)) or -e^u, by their Taylor series at u.
template <class Link>
struct Tail {
  static constexpr int n_phi = 1;
  static constexpr bool two_numbers = true;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    constexpr int highest = 6;  // four times by eta and twice by phi
    const T shape = of_parameter(phi[0], [](const auto& own) { return exp(own); });
    const T from_scale = of_parameter(phi[0], [](const auto& own) { return log_gamma_over_x(exp(-own)); });
    const T log_ratio = numeric::constant_like(eta, numeric::log(row.response)) - Link::log_mean(eta);
    const T u = shape * log_ratio + from_scale;
    const auto at = series_kernel::variable<highest>(numeric::constant_term(u), Lanes{});
    const auto below = numeric::log_cloglog_mean(at), above = -exp(at);
    const T step = u + (-at.c[0]);
    T value = numeric::constant_like(u, numeric::broadcast(0.0));
    for (int k = highest; k >= 0; --k) value = value * step + numeric::select(row.second > 0.0, below.c[k], above.c[k]);
    return value;
  }
};

template <class Link>
class Weibull final : public Family {
 public:
  std::string name() const override { return "weibull"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::positive; }
  std::vector<Parameter> parameters() const override {
    return {{"shape", "the scale is mu / Gamma(1 + 1 / shape); with 1 the exponential family"}};
  }
  std::string reference() const override {
    return "Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions 1, chapter 21";
  }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -prior_weight * std::log(y);
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density<Link>>(order, rows, out);
  }

  bool has_tails() const override { return true; }
  bool shifts() const override { return true; }
  void log_tail(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Tail<Link>>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<1>(rows, i);
      const Lanes slope = numeric::exp(b.phi[0]) * Link::log_mean(variable<1>(b.eta, Lanes{})).c[1];
      put(out, i, b.n, b.weight * slope * slope);
    }
  }

  double start_eta(const Observation& row) const override { return Link::of_mean(row.response); }
  void start_phi(double mean_square, double* phi) const override {
    // The coefficient of variation is close to k^-0.92 (Justus et al. 1978). A few large responses beside a mean that
    // is only a start say nothing of a smaller shape, whose mean would be far from any response.
    constexpr double smallest = -1.2;
    phi[0] = mean_square > 0.0 ? std::fmax(-0.543 * std::log(mean_square), smallest) : 0.0;
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double*) const override { return mu * mu; }
  double dispersion(const double* phi) const override { return squared_variation(std::exp(-phi[0])); }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const double x = std::exp(-phi[0]), u = (std::log(y / mu) + std::lgamma(1.0 + x)) / x;
    return 2.0 * (std::expm1(u) - u) * dispersion(phi);
  }
};

template <class Link>
Entry entry() {
  return {"weibull", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<Weibull<Link>>(); }};
}

}  // namespace

std::vector<Entry> weibull_entries() { return {entry<link::Log>()}; }

}  // namespace multilevel::family
