// Beta(y | mean mu, precision k), variance mu (1 - mu) / (1 + k), phi = log k; 0 < y < 1. With a = mu k, b = (1 - mu) k
// and the remainder s of Stirling's formula the log density is
//   -k D + (log k + log mu + log(1 - mu) - log(2 pi)) / 2 + s(k) - s(a) - s(b) - log y - log(1 - y),
// D = mu log(mu / y) + (1 - mu) log((1 - mu) / (1 - y)): nothing large cancels when the precision is large. The prior
// weight multiplies the log density.
#include <cmath>

#include "family/best_fit.hpp"
#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

namespace {

/// D and its derivatives by eta: mu' (logit mu - logit y).
template <int D>
inline Taylor<D, Lanes> divergence(Lanes y, const Taylor<D, Lanes>& mu, const Taylor<D, Lanes>& log_mu,
                                   const Taylor<D, Lanes>& log_rest) {
  const Lanes log_y = numeric::log(y), log_rest_y = numeric::log1p(-y);
  const Lanes one = log_y - log_mu.c[0], other = log_rest_y - log_rest.c[0];
  // mu (e^one - 1) + (1 - mu) (e^other - 1) is zero; with it a small D keeps its digits.
  const auto near = (numeric::abs(one) < 1.0) & (numeric::abs(other) < 1.0);
  const Lanes zero = numeric::broadcast(0.0);
  const Lanes value = mu.c[0] * (numeric::select(near, numeric::expm1(one), zero) - one) +
                      numeric::exp(log_rest.c[0]) * (numeric::select(near, numeric::expm1(other), zero) - other);
  return integrate(mu, value, log_mu - log_rest + (log_rest_y - log_y));
}

template <class Link>
struct Density {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const auto own_eta = in_eta_alone(eta);
    const auto log_mu = Link::log_mean(own_eta), log_rest = Link::log_complement(own_eta);
    const T log_a = lifted(log_mu, eta) + phi[0], log_b = lifted(log_rest, eta) + phi[0];
    const T precision = of_parameter(phi[0], [](const auto& own) { return exp(own); });
    const T constant = of_parameter(phi[0], [](const auto& own) {
      return 0.5 * own + numeric::stirling_remainder(exp(own)) + -0.91893853320467274178;
    });
    const T value = constant + lifted(0.5 * (log_mu + log_rest), eta) -
                    precision * lifted(divergence(row.response, exp(log_mu), log_mu, log_rest), eta) -
                    numeric::compose(log_a, numeric::stirling_remainder_of_log(alone(log_a))) -
                    numeric::compose(log_b, numeric::stirling_remainder_of_log(alone(log_b)));
    return only_where(Link::feasible_probability(numeric::constant_term(eta)), weighted(row.weight, value));
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
