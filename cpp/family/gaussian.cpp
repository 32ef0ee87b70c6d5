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
  static T value(const T& eta, Lanes y, Lanes weight, const T* phi) {
    const T residual = Link::mean(eta) + (-y);
    return (-0.5 * weight) * (residual * residual * exp(-2.0 * phi[0])) - phi[0];
  }
};

void identity_rows(Order order, const Rows& rows, double phi, const RowDerivatives& out) {
  const double precision = std::exp(-2.0 * phi);
  for (int j = 0; j < rows.n; ++j) {
    const double a = rows.weight[j] * precision;
    const double residual = rows.response[j] - rows.eta[j];
    out.value[j] = -0.5 * a * residual * residual - phi;
    out.eta[0][j] = a * residual;
    out.eta[1][j] = -a;
  }
  if (order == Order::step) return;
  for (int j = 0; j < rows.n; ++j) {
    const double a = rows.weight[j] * precision;
    const double residual = rows.response[j] - rows.eta[j];
    out.phi[0][0][j] = a * residual * residual - 1.0;
    out.phi[0][1][j] = -2.0 * a * residual;
    out.phi_phi[0][0][j] = -2.0 * a * residual * residual;
    if (order == Order::node) continue;
    out.eta[2][j] = out.eta[3][j] = 0.0;
    out.phi[0][2][j] = 2.0 * a;
    out.phi[0][3][j] = 0.0;
    out.phi_phi[0][1][j] = 4.0 * a * residual;
    out.phi_phi[0][2][j] = -4.0 * a;
  }
}

template <class Link>
class Gaussian final : public Family {
 public:
  std::string name() const override { return "gaussian"; }
  std::string link() const override { return Link::name; }
  std::vector<std::string> phi_names() const override { return {"log_sigma"}; }
  bool is_linear() const override { return std::is_same_v<Link, link::Identity>; }

  double prepare(double y, double, double prior_weight, double* response, double* weight) const override {
    *response = y;
    *weight = prior_weight;
    return -0.91893853320467274178 + (prior_weight == 1.0 ? 0.0 : 0.5 * std::log(prior_weight));
  }

  void derivatives(Order order, const Rows& rows, const double* phi, const RowDerivatives& out) const override {
    if constexpr (std::is_same_v<Link, link::Identity>)
      identity_rows(order, rows, phi[0], out);
    else
      series_derivatives<Density<Link>>(order, rows, phi, out);
  }

  void expected_information(const Rows& rows, const double* phi, double* out) const override {
    using namespace series_kernel;
    const double precision = std::exp(-2.0 * phi[0]);
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block(rows, i);
      const auto mu = Link::mean(variable<1>(b.eta, Lanes{}));
      put(out, i, b.n, precision * b.weight * mu.c[1] * mu.c[1]);
    }
  }

  double start_eta(double response, double) const override {
    // A log link cannot take a response that is not positive; any mean of about that size will do.
    if constexpr (std::is_same_v<Link, link::Log>)
      return std::log(std::fmax(response, 1e-3 * std::fmax(1.0, std::fabs(response))));
    else
      return Link::of_mean(response);
  }
  void start_phi(double mean_square, double* phi) const override {
    phi[0] = mean_square > 0.0 ? 0.5 * std::log(mean_square) : 0.0;
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double) const override { return 1.0; }
  double unit_deviance(double y, double mu) const override { return (y - mu) * (y - mu); }
};

template <class Link>
Entry entry() {
  return {"gaussian", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<Gaussian<Link>>(); }};
}

}  // namespace

std::vector<Entry> gaussian_entries() { return {entry<link::Identity>(), entry<link::Log>()}; }

}  // namespace multilevel::family
