// NegativeBinomial(y | mean mu, dispersion alpha), variance mu (1 + alpha), phi = -log alpha; y >= 0 ("NB1"). With
// r = mu / alpha the log density is y log mu - (y + r) log(1 + alpha) + h(r) - log y!, h(r) the logarithm of
// r (r + 1) ... (r + y - 1) / r^y: the Poisson's as alpha goes to zero. The prior weight multiplies the log density.
#include <cmath>

#include "family/best_fit.hpp"
#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

namespace {

constexpr double poisson_from = 30.0;  // of -log alpha: differences from the Poisson are below 1e-13 mu^2

struct Density {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const Lanes y = row.response;
    const T log_r = eta + phi[0];
    const T log1p_alpha = of_parameter(phi[0], [](const auto& own) { return softplus(-own); });
    const T value =
        y * eta - (exp(log_r) + y) * log1p_alpha + numeric::compose(log_r, numeric::log_rising_ratio(y, alone(log_r)));
    return weighted(row.weight, value);
  }
};

class NegativeBinomial1 final : public Family {
 public:
  std::string name() const override { return "negative_binomial_1"; }
  std::string link() const override { return link::Log::name; }
  Support support() const override { return Support::counts; }
  std::vector<Parameter> parameters() const override {
    return {{"dispersion", "the variance is mu (1 + dispersion)", poisson_from, "poisson", Scale::reciprocal}};
  }
  std::string reference() const override {
    return "Cameron and Trivedi (1986), Journal of Applied Econometrics 1, 29-53";
  }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -prior_weight * std::lgamma(y + 1.0);
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<1>(rows, i);
      put(out, i, b.n, b.weight * numeric::exp(b.eta) / (1.0 + numeric::exp(-b.phi[0])));
    }
  }

  double start_eta(const Observation& row) const override { return std::log(row.response + 0.1); }
  void start_phi(double mean_square, double* phi) const override {
    // at alpha = 1 it is (1 + alpha) / 2
    phi[0] = -std::log(std::fmin(std::fmax(2.0 * mean_square - 1.0, 0.05), 1e4));
  }

  // log(mu + alpha j), of which a count above one has some, is convex in log mu.
  bool log_concave() const override { return false; }
  bool far_modes() const override { return false; }
  bool levels_off_without_zeros() const override { return true; }
  double supremum(const Observation& row, const double* phi) const override {
    return row.response > 0.0 ? largest_log_density(*this, row, phi, std::log(row.response)) : 0.0;
  }

  int recession(const Observation& row) const override { return row.response == 0.0 ? -1 : 0; }

  double mean(double eta) const override { return std::exp(eta); }
  double link_of_mean(double mu) const override { return std::log(mu); }
  double variance(double mu, const double* phi) const override { return mu * (1.0 + std::exp(-phi[0])); }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const Observation row{y, 1.0, 1.0};
    return 2.0 * (supremum(row, phi) - at_eta(*this, row, phi, std::log(mu)).value);
  }
};

}  // namespace

std::vector<Entry> negative_binomial_1_entries() {
  return {{"negative_binomial_1", link::Log::name,
           []() -> std::unique_ptr<Family> { return std::make_unique<NegativeBinomial1>(); }}};
}

}  // namespace multilevel::family
