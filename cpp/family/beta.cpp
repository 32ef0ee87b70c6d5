// Beta(y | mean mu, precision k), variance mu (1 - mu) / (1 + k), phi = log k; 0 < y < 1. The prior weight multiplies
// the log density.
#include <cmath>

#include "family/best_fit.hpp"
#include "family/beta_density.hpp"
#include "family/registry.hpp"

namespace multilevel::family {

namespace {

template <class Link>
struct Density {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    return weighted(row.weight, beta_log_density<Link>(eta, row.response, phi[0]));
  }
};

template <class Link>
class Beta final : public Family {
 public:
  std::string name() const override { return "beta"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::open_unit; }
  std::vector<Parameter> parameters() const override {
    return {{"precision", "the variance is mu (1 - mu) / (1 + precision)"}};
  }
  std::string reference() const override {
    return "Ferrari and Cribari-Neto (2004), Journal of Applied Statistics 31, 799-815";
  }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -prior_weight * (std::log(y) + std::log1p(-y));
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density<Link>>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<1>(rows, i);
      const auto eta = variable<1>(b.eta, Lanes{});
      const Lanes information =
          -b.weight * (1.0 + numeric::exp(b.phi[0])) * Link::log_mean(eta).c[1] * Link::log_complement(eta).c[1];
      put(out, i, b.n, numeric::select(information > 0.0, information, numeric::broadcast(0.0)));
    }
  }

  double start_eta(const Observation& row) const override { return Link::of_mean(0.005 + 0.99 * row.response); }
  void start_phi(double mean_square, double* phi) const override {
    // at precision 1 it is 2 / (1 + precision)
    phi[0] = mean_square > 0.0 ? std::log(std::fmax(2.0 / mean_square - 1.0, 0.1)) : 0.0;
  }

  bool log_concave() const override { return false; }
  bool far_modes() const override { return false; }
  double supremum(const Observation& row, const double* phi) const override {
    return largest_log_density(*this, row, phi, start_eta(row));
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double*) const override { return mu * (1.0 - mu); }
  double dispersion(const double* phi) const override { return 1.0 / (1.0 + std::exp(phi[0])); }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const Observation row{y, 1.0, 1.0};
    return 2.0 * dispersion(phi) * (supremum(row, phi) - at_eta(*this, row, phi, Link::of_mean(mu)).value);
  }
};

template <class Link>
Entry entry() {
  return {"beta", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<Beta<Link>>(); }};
}

}  // namespace

std::vector<Entry> beta_entries() { return {entry<link::Logit>(), entry<link::Probit>(), entry<link::Cloglog>()}; }

}  // namespace multilevel::family
