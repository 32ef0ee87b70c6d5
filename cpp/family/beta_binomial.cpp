// BetaBinomial(y | n trials, mean mu, precision k): the probability of a response's trials is Beta(mu k, (1 - mu) k),
// phi = log k; 0 <= y <= n. With h(y, x) the logarithm of x (x + 1) ... (x + y - 1) / x^y the log density is
// the binomial's + h(y, mu k) + h(n - y, (1 - mu) k) - h(n, k): those go to zero as the precision grows. The prior
// weight multiplies the log density.
#include <cmath>

#include "family/best_fit.hpp"
#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

namespace {

constexpr double binomial_from = 30.0;  // of log precision: differences from the binomial are below 1e-13 n^2

template <class Link>
struct Density {
  static constexpr int n_phi = 1;
  static constexpr bool two_numbers = true;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const Lanes y = row.response, trials = row.second, failures = trials - y;
    const auto own_eta = in_eta_alone(eta);
    const auto log_mu = Link::log_mean(own_eta), log_rest = Link::log_complement(own_eta);
    const T log_a = lifted(log_mu, eta) + phi[0], log_b = lifted(log_rest, eta) + phi[0];
    const T value = lifted(weighted(y, log_mu) + weighted(failures, log_rest), eta) +
                    numeric::compose(log_a, numeric::log_rising_ratio(y, alone(log_a))) +
                    numeric::compose(log_b, numeric::log_rising_ratio(failures, alone(log_b))) -
                    numeric::compose(phi[0], numeric::log_rising_ratio(trials, alone(phi[0])));
    return only_where(Link::feasible_probability(numeric::constant_term(eta)), weighted(row.weight, value));
  }
};

template <class Link>
class BetaBinomial final : public Family {
 public:
  std::string name() const override { return "beta_binomial"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::trials; }
  bool two_numbers() const override { return true; }
  std::vector<Parameter> parameters() const override {
    return {{"precision", "of n trials the variance is n mu (1 - mu) (n + precision) / (1 + precision)", binomial_from,
             "binomial"}};
  }
  std::string reference() const override { return "Williams (1975), Biometrics 31, 949-952"; }

  Observation prepare(double y, double size, double prior_weight, double* constant) const override {
    *constant = size == 1.0
                    ? 0.0
                    : prior_weight * (std::lgamma(size + 1.0) - std::lgamma(y + 1.0) - std::lgamma(size - y + 1.0));
    return {y, size, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density<Link>>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<1, true>(rows, i);
      const auto eta = variable<1>(b.eta, Lanes{});
      const Lanes together = 1.0 + (b.second - 1.0) * numeric::logistic(-b.phi[0]);
      const Lanes information =
          -b.weight * b.second / together * Link::log_mean(eta).c[1] * Link::log_complement(eta).c[1];
      put(out, i, b.n, numeric::select(information > 0.0, information, numeric::broadcast(0.0)));
    }
  }

  double start_eta(const Observation& row) const override {
    return Link::of_mean((row.response + 0.5) / (row.second + 1.0));
  }
  void start_phi(double, double* phi) const override { phi[0] = 1.0; }

  bool log_concave() const override { return false; }
  bool far_modes() const override { return false; }
  bool levels_off_without_zeros() const override { return true; }
  double supremum(const Observation& row, const double* phi) const override {
    if (row.response == 0.0 || row.response == row.second) return 0.0;
    return largest_log_density(*this, row, phi, start_eta(row));
  }
  int recession(const Observation& row) const override {
    return row.response == row.second ? 1 : (row.response == 0.0 ? -1 : 0);
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double*) const override { return mu * (1.0 - mu); }
  double variance_ratio(double trials, const double* phi) const override {
    return 1.0 + (trials - 1.0) / (1.0 + std::exp(phi[0]));
  }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const Observation row{y, 1.0, 1.0};
    return 2.0 * (supremum(row, phi) - at_eta(*this, row, phi, Link::of_mean(mu)).value);
  }
};

template <class Link>
Entry entry() {
  return {"beta_binomial", Link::name,
          []() -> std::unique_ptr<Family> { return std::make_unique<BetaBinomial<Link>>(); }};
}

}  // namespace

std::vector<Entry> beta_binomial_entries() {
  return {entry<link::Logit>(), entry<link::Probit>(), entry<link::Cloglog>()};
}

}  // namespace multilevel::family
