// GeneralizedPoisson(y | mean mu, dispersion d), variance mu d, phi = log d; y >= 0. With theta = mu / sqrt(d) and
// lambda = 1 - 1 / sqrt(d) the log density is log theta + (y - 1) log(theta + lambda y) - theta - lambda y - log y!,
// which near d = 1 is the Poisson's without a digit lost when theta is taken out of the logarithm. The prior weight
// multiplies the log density.
//
// With d < 1 counts from -theta / lambda on have no density, and what is left does not quite sum to one: within 0.5 %
// if at least the counts up to four have one (Consul and Famoye), and a row has no density where they do not.
#include <cmath>

#include "family/best_fit.hpp"
#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"

namespace multilevel::family {

namespace {

struct Density {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const Lanes y = row.response;
    const T half = 0.5 * phi[0];
    const T root = of_parameter(half, [](const auto& own) { return exp(-own); });    // 1 / sqrt(d)
    const T ratio = of_parameter(half, [](const auto& own) { return expm1(own); });  // lambda sqrt(d)
    const T lambda = of_parameter(half, [](const auto& own) { return -expm1(-own); });
    const T share = ratio * exp(-eta);  // lambda / theta
    const T value = y * (eta - half) + (y - 1.0) * log1p(y * share) - root * exp(eta) - y * lambda;
    const auto inside = (numeric::constant_term(share) * 4.0 > -1.0) & (numeric::constant_term(share) * y > -1.0);
    return only_where(inside, weighted(row.weight, value));
  }
};

class GeneralizedPoisson final : public Family {
 public:
  std::string name() const override { return "generalized_poisson"; }
  std::string link() const override { return link::Log::name; }
  Support support() const override { return Support::counts; }
  std::vector<Parameter> parameters() const override { return {{"dispersion", "the variance is mu dispersion"}}; }
  std::string reference() const override {
    return "Consul and Famoye (1992), Communications in Statistics - Theory and Methods 21, 89-109";
  }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -prior_weight * std::lgamma(y + 1.0);
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density>(order, rows, out);
  }

  /// With small means hardly any d < 1 leaves all counts a density, and searches end at that edge.
  std::vector<std::vector<double>> other_places(const double* phi) const override {
    constexpr double hardly_more = 0.1, more = 0.5;
    if (!(phi[0] < hardly_more)) return {};
    return {{more}};
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<1>(rows, i);
      put(out, i, b.n, b.weight * numeric::exp(b.eta - b.phi[0]));
    }
  }

  double start_eta(const Observation& row) const override { return std::log(row.response + 0.1); }
  void start_phi(double mean_square, double* phi) const override {
    phi[0] = std::log(std::fmin(std::fmax(mean_square, 1.0), 1e4));
  }

  // log(theta + lambda y) is convex in log mu.
  bool has_cliffs(const double* phi) const override { return !(phi[0] >= 0.0); }
  std::string trouble(const double* phi) const override {
    if (!(phi[0] < 0.0)) return "";
    return "the counts vary less than Poisson counts do: with a dispersion below 1 the family has a largest count for "
           "each mean, and where data come near it the likelihood ends; conway_maxwell_poisson has no such edge";
  }

  bool log_concave() const override { return false; }
  bool far_modes() const override { return false; }
  bool levels_off_without_zeros() const override { return true; }
  double supremum(const Observation& row, const double* phi) const override {
    const double y = row.response, root = std::exp(-0.5 * phi[0]);
    if (!(y > 0.0)) return 0.0;
    // theta^2 - y (1 - lambda) theta - lambda y = 0
    const double discriminant = y * y * root * root + 4.0 * y * (1.0 - root);
    if (!(discriminant >= 0.0)) return std::numeric_limits<double>::infinity();
    const double theta = 0.5 * (y * root + std::sqrt(discriminant));
    const double value = at_eta(*this, row, phi, std::log(theta / root)).value;
    return std::isfinite(value) ? value : std::numeric_limits<double>::infinity();
  }
  int recession(const Observation& row) const override { return row.response == 0.0 ? -1 : 0; }

  double mean(double eta) const override { return std::exp(eta); }
  double link_of_mean(double mu) const override { return std::log(mu); }
  double variance(double mu, const double* phi) const override { return mu * std::exp(phi[0]); }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const Observation row{y, 1.0, 1.0};
    return 2.0 * (supremum(row, phi) - at_eta(*this, row, phi, std::log(mu)).value);
  }
};

}  // namespace

std::vector<Entry> generalized_poisson_entries() {
  return {{"generalized_poisson", link::Log::name,
           []() -> std::unique_ptr<Family> { return std::make_unique<GeneralizedPoisson>(); }}};
}

}  // namespace multilevel::family
