// Normal(y | mu, sigma / sqrt(weight)), phi = log sigma:
// -(weight/2) (y - mu)^2 exp(-2 phi) - phi - log(2 pi)/2 + log(weight)/2. The prior weight is a precision.
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
    const T residual = Link::mean(eta) + (-row.response);
    return (-0.5 * row.weight) * (residual * residual * exp(-2.0 * phi[0])) - phi[0];
  }
};

/// Below the response (second = 1) or above it (-1).
template <class Link>
struct Tail {
  static constexpr int n_phi = 1;
  static constexpr bool two_numbers = true;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const T residual = Link::mean(eta) + (-row.response);
    const T z = (-row.second) * (residual * exp(-1.0 * phi[0]));
    return numeric::compose(z, numeric::log_normal_cdf(alone(z)));
  }
};

/// The identity link by hand: all derivatives are the residual and the precision.
template <Order order>
void identity_rows(const Rows& rows, const RowDerivatives& out) {
  using namespace series_kernel;
  const bool varies = rows.data.phi.step[0] != 0;
  const Lanes common = numeric::broadcast(std::exp(-2.0 * rows.data.phi.at(0, 0))), zero = numeric::broadcast(0.0);
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block<1>(rows, i);
    const Lanes phi = b.phi[0], precision = varies ? numeric::exp(-2.0 * phi) : common;
    const Lanes a = b.weight * precision, residual = b.response - b.eta;
    const Lanes slope = a * residual, square = slope * residual;
    put(out.value, i, b.n, -0.5 * square - phi);
    put(out.eta[0], i, b.n, slope);
    put(out.eta[1], i, b.n, -a);
    if constexpr (order == Order::step) continue;
    put(out.phi[0][0], i, b.n, square - 1.0);
    put(out.phi[0][1], i, b.n, -2.0 * slope);
    put(out.phi_phi[0][0], i, b.n, -2.0 * square);
    if constexpr (order == Order::node) continue;
    put(out.eta[2], i, b.n, zero);
    put(out.eta[3], i, b.n, zero);
    put(out.phi[0][2], i, b.n, 2.0 * a);
    put(out.phi[0][3], i, b.n, zero);
    put(out.phi_phi[0][1], i, b.n, 4.0 * slope);
    put(out.phi_phi[0][2], i, b.n, -4.0 * a);
  }
}

template <class Link>
class Gaussian final : public Family {
 public:
  std::string name() const override { return "gaussian"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::numbers; }
  std::vector<Parameter> parameters() const override { return {{"sigma", "residual standard deviation"}}; }
  std::string reference() const override { return "McCullagh and Nelder (1989), chapter 3"; }
  bool has_residual() const override { return true; }
  bool is_linear() const override { return std::is_same_v<Link, link::Identity>; }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -0.91893853320467274178 + (prior_weight == 1.0 ? 0.0 : 0.5 * std::log(prior_weight));
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    if constexpr (std::is_same_v<Link, link::Identity>) {
      if (order == Order::full) return identity_rows<Order::full>(rows, out);
      if (order == Order::node) return identity_rows<Order::node>(rows, out);
      identity_rows<Order::step>(rows, out);
    } else {
      series_derivatives<Density<Link>>(order, rows, out);
    }
  }

  bool has_tails() const override { return true; }
  bool shifts() const override { return is_linear(); }
  void log_tail(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Tail<Link>>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<1>(rows, i);
      const auto mu = Link::mean(variable<1>(b.eta, Lanes{}));
      put(out, i, b.n, numeric::exp(-2.0 * b.phi[0]) * b.weight * mu.c[1] * mu.c[1]);
    }
  }

  double start_eta(const Observation& row) const override {
    const double response = row.response;
    // A log link cannot take a response that is not positive; any mean of about that size will do.
    if constexpr (std::is_same_v<Link, link::Log>)
      return std::log(std::fmax(response, 1e-3 * std::fmax(1.0, std::fabs(response))));
    else
      return Link::of_mean(response);
  }
  void start_phi(double mean_square, double* phi) const override {
    phi[0] = mean_square > 0.0 ? 0.5 * std::log(mean_square) : 0.0;
  }

  // With a log link the density is flat where the mean is near zero.
  bool log_concave() const override { return is_linear(); }
  double supremum(const Observation& row, const double* phi) const override {
    const double least = is_linear() || row.response > 0.0 ? 0.0 : row.response;  // no mean below zero
    return -0.5 * row.weight * least * least * std::exp(-2.0 * phi[0]) - phi[0];
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double, const double*) const override { return 1.0; }
  double dispersion(const double* phi) const override { return std::exp(2.0 * phi[0]); }
  double unit_deviance(double y, double mu, const double*) const override { return (y - mu) * (y - mu); }
};

template <class Link>
Entry entry() {
  return {"gaussian", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<Gaussian<Link>>(); }};
}

}  // namespace

std::vector<Entry> gaussian_entries() { return {entry<link::Identity>(), entry<link::Log>()}; }

}  // namespace multilevel::family
