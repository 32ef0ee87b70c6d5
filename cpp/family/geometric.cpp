// Geometric(y | mean mu), variance mu + mu^2: y log mu - (y + 1) log(1 + mu); y >= 0. The negative binomial of size
// one. The prior weight multiplies the log density.
#include <algorithm>
#include <cmath>

#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"

namespace multilevel::family {

namespace {

struct Density {
  static constexpr int n_phi = 0;
  template <class T>
  static T value(const T& eta, const Row& row, const T*) {
    return weighted(row.weight, row.response * eta - (row.response + 1.0) * softplus(eta));
  }
};

class Geometric final : public Family {
 public:
  std::string name() const override { return "geometric"; }
  std::string link() const override { return link::Log::name; }
  Support support() const override { return Support::counts; }
  std::string reference() const override {
    return "Johnson, Kemp and Kotz (2005), Univariate Discrete Distributions, section 5.2";
  }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = 0.0;
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block(rows, i);
      put(out, i, b.n, b.weight * numeric::logistic(b.eta));  // mu / (1 + mu)
    }
  }

  double start_eta(const Observation& row) const override { return std::log(row.response + 0.1); }
  double supremum(const Observation& row, const double*) const override {
    const double y = row.response;
    return y > 0.0 ? row.weight * (y * std::log(y) - (y + 1.0) * std::log1p(y)) : 0.0;
  }
  bool failures(int n, const Observations&, double* out) const override {
    std::fill_n(out, n, 1.0);
    return true;
  }
  double log_size(const Phi&, std::ptrdiff_t) const override { return 0.0; }
  int recession(const Observation& row) const override { return row.response == 0.0 ? -1 : 0; }

  double mean(double eta) const override { return std::exp(eta); }
  double link_of_mean(double mu) const override { return std::log(mu); }
  double variance(double mu, const double*) const override { return mu + mu * mu; }
  double unit_deviance(double y, double mu, const double*) const override {
    const double own = y > 0.0 ? y * std::log(y / mu) : 0.0;
    return 2.0 * (own - (y + 1.0) * std::log1p((y - mu) / (mu + 1.0)));
  }
};

}  // namespace

std::vector<Entry> geometric_entries() {
  return {{"geometric", link::Log::name, []() -> std::unique_ptr<Family> { return std::make_unique<Geometric>(); }}};
}

}  // namespace multilevel::family
