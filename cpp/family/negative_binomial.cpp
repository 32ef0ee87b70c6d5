// NegativeBinomial(y | mean mu, size k), variance mu + mu^2 / k, phi = log k; y >= 0 ("NB2"). The log density is
// y log mu - (y + k) log(1 + mu / k) + (y + k - 1/2) log(1 + y / k) - y + s(y + k) - s(k) - log y!, where s is the
// remainder of Stirling's formula: it becomes the Poisson's as the size grows, without a digit lost. The prior weight
// multiplies the log density.
#include <cmath>

#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

namespace {

constexpr double poisson_from = 30.0;  // of log size: differences from the Poisson are below 1e-13 mu^2

template <class Link>
struct Density {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const Lanes y = row.response;
    const T constant = of_parameter(phi[0], [&](const auto& own) {
      const auto size = exp(own), both = size + y;
      return (both + -0.5) * log1p(y * exp(-own)) + numeric::stirling_remainder(both) -
             numeric::stirling_remainder(size) + -y;
    });
    const T size = of_parameter(phi[0], [](const auto& own) { return exp(own); });
    const T value = weighted(y, Link::log_mean(eta)) - (size + y) * log1p_over_size(eta, phi[0]) + constant;
    return only_where(Link::feasible_rate(numeric::constant_term(eta)), weighted(row.weight, value));
  }

 private:
  /// log(1 + mu / size)
  template <class T>
  static T log1p_over_size(const T& eta, const T& phi) {
    if constexpr (std::is_same_v<Link, link::Log>)
      return softplus(eta - phi);
    else
      return log1p(Link::mean(eta) * exp(-phi));
  }
};

template <class Link>
class NegativeBinomial final : public Family {
 public:
  std::string name() const override { return "negative_binomial"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::counts; }
  std::vector<Parameter> parameters() const override {
    return {{"size", "the variance is mu + mu^2 / size", poisson_from, "poisson"}};
  }
  std::string reference() const override { return "Lawless (1987), Canadian Journal of Statistics 15, 209-225"; }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -prior_weight * std::lgamma(y + 1.0);
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density<Link>>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<1>(rows, i);
      // mu'^2 / (mu + mu^2 / size) is mu' times the derivative of log mu over 1 + mu / size; mu times it is size.
      const auto eta = variable<1>(b.eta, Lanes{});
      const auto mu = Link::mean(eta);
      const Lanes slope = Link::log_mean(eta).c[1];
      const Lanes information = b.weight * slope * slope / (1.0 / mu.c[0] + numeric::exp(-b.phi[0]));
      put(out, i, b.n, numeric::select(information > 0.0, information, numeric::broadcast(0.0)));
    }
  }

  double start_eta(const Observation& row) const override { return Link::of_mean(row.response + 0.1); }

  // With other links the density is flat where the mean is far too large.
  bool log_concave() const override { return std::is_same_v<Link, link::Log>; }
  double supremum(const Observation& row, const double* phi) const override {
    if (!(row.response > 0.0)) return 0.0;
    const double eta = Link::of_mean(row.response);
    double value = 0.0;
    RowDerivatives out;
    out.value = &value;
    double unused[2];
    out.eta[0] = unused;
    out.eta[1] = unused + 1;
    derivatives(Order::step, {1, &eta, {&row.response, nullptr, &row.weight, Phi::constant(phi, 1)}}, out);
    return value;
  }

  int recession(const Observation& row) const override {
    return std::is_same_v<Link, link::Log> && row.response == 0.0 ? -1 : 0;
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double* phi) const override { return mu + mu * mu * std::exp(-phi[0]); }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const double size = std::exp(phi[0]);
    const double own = y > 0.0 ? y * std::log(y / mu) : 0.0;
    return 2.0 * (own - (y + size) * std::log1p((y - mu) / (mu + size)));
  }
};

template <class Link>
Entry entry() {
  return {"negative_binomial", Link::name,
          []() -> std::unique_ptr<Family> { return std::make_unique<NegativeBinomial<Link>>(); }};
}

}  // namespace

std::vector<Entry> negative_binomial_entries() { return {entry<link::Log>(), entry<link::Identity>()}; }

}  // namespace multilevel::family
