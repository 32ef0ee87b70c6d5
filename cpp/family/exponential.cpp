// Exponential(y | mean mu): the log density is -log mu - y / mu, that of a Gamma of shape 1; y > 0. The prior weight
// multiplies the log density.
#include <cmath>

#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"

namespace multilevel::family {

namespace {

template <class Link>
struct Density {
  static constexpr int n_phi = 0;
  template <class T>
  static T value(const T& eta, const Row& row, const T*) {
    const T log_ratio = numeric::constant_like(eta, numeric::log(row.response)) - Link::log_mean(eta);
    return weighted(row.weight, log_ratio - exp(log_ratio));
  }
};

/// Below the response (second = 1) or above it (-1).
template <class Link>
struct Tail {
  static constexpr int n_phi = 0;
  static constexpr bool two_numbers = true;
  template <class T>
  static T value(const T& eta, const Row& row, const T*) {
    const T log_ratio = numeric::constant_like(eta, numeric::log(row.response)) - Link::log_mean(eta);
    const T below = numeric::log_cloglog_mean(log_ratio), above = -exp(log_ratio);
    T value;
    for (std::size_t k = 0; k < value.c.size(); ++k)
      value.c[k] = numeric::select(row.second > 0.0, below.c[k], above.c[k]);
    return value;
  }
};

template <class Link>
class Exponential final : public Family {
 public:
  std::string name() const override { return "exponential"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::positive; }
  std::string reference() const override {
    return "Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions 1, chapter 19";
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
      const Block b = block(rows, i);
      const Lanes slope = Link::log_mean(variable<1>(b.eta, Lanes{})).c[1];
      put(out, i, b.n, b.weight * slope * slope);
    }
  }

  double start_eta(const Observation& row) const override { return Link::of_mean(row.response); }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double*) const override { return mu * mu; }
  double unit_deviance(double y, double mu, const double*) const override {
    return 2.0 * ((y - mu) / mu - std::log(y / mu));
  }
};

template <class Link>
Entry entry() {
  return {"exponential", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<Exponential<Link>>(); }};
}

}  // namespace

std::vector<Entry> exponential_entries() { return {entry<link::Log>()}; }

}  // namespace multilevel::family
