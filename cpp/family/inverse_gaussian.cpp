// InverseGaussian(y | mean mu, dispersion d), variance d mu^3, phi = log d; y > 0. The log density is
// -(y / mu - 1)^2 / (2 d y) - log(2 pi d y^3) / 2. The prior weight multiplies the log density.
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
    const T precision = of_parameter(phi[0], [](const auto& own) { return exp(-own); });
    const T excess = excess_ratio(eta, row.response);
    const T value = (-0.5 / row.response) * (excess * excess * precision) + -0.5 * phi[0];
    return only_where(Link::feasible_rate(numeric::constant_term(eta)), weighted(row.weight, value));
  }

 private:
  /// y / mu - 1
  template <class T>
  static T excess_ratio(const T& eta, Lanes response) {
    if constexpr (std::is_same_v<Link, link::Inverse>)
      return response * eta + -1.0;
    else
      return expm1(numeric::constant_like(eta, numeric::log(response)) - Link::log_mean(eta));
  }
};

template <class Link>
class InverseGaussian final : public Family {
 public:
  std::string name() const override { return "inverse_gaussian"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::positive; }
  std::vector<Parameter> parameters() const override { return {{"dispersion", "the variance is dispersion mu^3"}}; }
  std::string reference() const override { return "McCullagh and Nelder (1989), chapter 2; Tweedie (1957)"; }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -prior_weight * (1.5 * std::log(y) + 0.91893853320467274178);
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density<Link>>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<1>(rows, i);
      const auto log_mean = Link::log_mean(variable<1>(b.eta, Lanes{}));
      const Lanes slope = log_mean.c[1];
      const Lanes information = b.weight * slope * slope * numeric::exp(-(b.phi[0] + log_mean.c[0]));
      put(out, i, b.n, numeric::select(information > 0.0, information, numeric::broadcast(0.0)));
    }
  }

  double start_eta(const Observation& row) const override { return Link::of_mean(row.response); }
  void start_phi(double mean_square, double* phi) const override {
    phi[0] = mean_square > 0.0 ? std::log(mean_square) : 0.0;
  }

  // As the mean grows the density falls to a level, not to zero, and comes there in a curve upwards.
  bool log_concave() const override {
    return std::is_same_v<Link, link::InverseSquared> || std::is_same_v<Link, link::Inverse>;
  }
  double supremum(const Observation& row, const double* phi) const override { return -0.5 * row.weight * phi[0]; }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double*) const override { return mu * mu * mu; }
  double dispersion(const double* phi) const override { return std::exp(phi[0]); }
  double unit_deviance(double y, double mu, const double*) const override {
    const double excess = (y - mu) / mu;
    return excess * excess / y;
  }
};

template <class Link>
Entry entry() {
  return {"inverse_gaussian", Link::name,
          []() -> std::unique_ptr<Family> { return std::make_unique<InverseGaussian<Link>>(); }};
}

}  // namespace

std::vector<Entry> inverse_gaussian_entries() {
  return {entry<link::Log>(), entry<link::InverseSquared>(), entry<link::Inverse>(), entry<link::Identity>()};
}

}  // namespace multilevel::family
