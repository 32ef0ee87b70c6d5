// Lognormal(y | mean mu, sigma): log y is normal with mean log mu - sigma^2 / 2 and standard deviation sigma,
// phi = log sigma; y > 0. The variance is mu^2 (exp(sigma^2) - 1). With z = (log y - log mu) / sigma + sigma / 2 the
// log density is -z^2 / 2 - log sigma - log(2 pi) / 2 - log y. As with every family mu is the mean of the response; the
// mean of log y, which SAS models, is sigma^2 / 2 less than log mu, and the median is mu exp(-sigma^2 / 2). The prior
// weight multiplies the log density.
#include <cmath>

#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"

namespace multilevel::family {

namespace {

template <class Link>
struct Density {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const T sigma = of_parameter(phi[0], [](const auto& own) { return exp(own); });
    const T precision = of_parameter(phi[0], [](const auto& own) { return exp(-own); });
    const T log_ratio = numeric::constant_like(eta, numeric::log(row.response)) - Link::log_mean(eta);
    const T z = log_ratio * precision + 0.5 * sigma;
    return weighted(row.weight, -0.5 * (z * z) - phi[0]);
  }
};

/// Below the response (second = 1) or above it (-1).
template <class Link>
struct Tail {
  static constexpr int n_phi = 1;
  static constexpr bool two_numbers = true;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const T sigma = of_parameter(phi[0], [](const auto& own) { return exp(own); });
    const T precision = of_parameter(phi[0], [](const auto& own) { return exp(-own); });
    const T log_ratio = numeric::constant_like(eta, numeric::log(row.response)) - Link::log_mean(eta);
    const T z = row.second * (log_ratio * precision + 0.5 * sigma);
    return numeric::compose(z, numeric::log_normal_cdf(alone(z)));
  }
};

template <class Link>
class Lognormal final : public Family {
 public:
  std::string name() const override { return "lognormal"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::positive; }
  std::vector<Parameter> parameters() const override {
    return {{"sigma", "standard deviation of log y; the variance is mu^2 (exp(sigma^2) - 1)"}};
  }
  std::string reference() const override {
    return "Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions 1, chapter 14";
  }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -prior_weight * (std::log(y) + 0.91893853320467274178);
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
      const Lanes slope = Link::log_mean(variable<1>(b.eta, Lanes{})).c[1];
      put(out, i, b.n, b.weight * slope * slope * numeric::exp(-2.0 * b.phi[0]));
    }
  }

  double start_eta(const Observation& row) const override { return Link::of_mean(row.response); }
  void start_phi(double mean_square, double* phi) const override {
    phi[0] = mean_square > 0.0 ? 0.5 * std::log(mean_square) : 0.0;
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double*) const override { return mu * mu; }
  double dispersion(const double* phi) const override { return std::expm1(std::exp(2.0 * phi[0])); }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const double sigma = std::exp(phi[0]), z = std::log(y / mu) / sigma + 0.5 * sigma;
    return z * z * dispersion(phi);
  }
};

template <class Link>
Entry entry() {
  return {"lognormal", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<Lognormal<Link>>(); }};
}

}  // namespace

std::vector<Entry> lognormal_entries() { return {entry<link::Log>()}; }

}  // namespace multilevel::family
