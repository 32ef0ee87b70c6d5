// Gamma(y | mean mu, shape k), variance mu^2 / k, phi = log k; y > 0. With r = y / mu the log density is
// k (log r - (r - 1)) + log(k / (2 pi)) / 2 - s(k) - log y, where s is the remainder of Stirling's formula: nothing
// large cancels when the shape is large. The prior weight multiplies the log density.
#include <cmath>

#include "family/gamma_density.hpp"
#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

namespace {

template <class Link>
struct Density {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const T log_ratio = numeric::constant_like(eta, numeric::log(row.response)) - Link::log_mean(eta);
    const T value = weighted(row.weight, gamma::log_density(log_ratio, phi[0]));
    return only_where(Link::feasible_rate(numeric::constant_term(eta)), value);
  }
};

/// The log link by hand: of r = log y - eta, all derivatives of r - (e^r - 1) by eta from the second on are e^r, with
/// turning signs. Only c(phi) differs in phi from what is there already.
template <Order order>
void log_rows(const Rows& rows, const RowDerivatives& out) {
  using namespace series_kernel;
  const bool common = rows.data.phi.step[0] == 0;
  Taylor<2, Lanes> c{};
  Lanes shape{};
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block<1>(rows, i);
    if (!common || i == 0) {
      c = gamma::constant(variable<2>(b.phi[0], Lanes{}));
      shape = numeric::exp(b.phi[0]);
    }
    const Lanes r = numeric::log(b.response) - b.eta, e = numeric::expm1(r);
    auto give = [&](double* to, Lanes x) { put(to, i, b.n, weighted(b.weight, x)); };
    const Lanes value = shape * (r - e), first = shape * e, second = -shape * (e + 1.0);
    give(out.value, value + c.c[0]);
    give(out.eta[0], first);
    give(out.eta[1], second);
    if constexpr (order == Order::step) continue;
    if (out.phi[0][0]) give(out.phi[0][0], value + c.c[1]);
    if (out.phi[0][1]) give(out.phi[0][1], first);
    if (out.phi[0][2]) give(out.phi[0][2], second);
    if (double* to = out.phi_phi[0][0]) give(to, value + 2.0 * c.c[2]);
    if (double* to = out.phi_phi[0][1]) give(to, first);
    if (double* to = out.phi_phi[0][2]) give(to, second);
    if constexpr (order == Order::node) continue;
    give(out.eta[2], -second);
    give(out.eta[3], second);
    if (out.phi[0][3]) give(out.phi[0][3], -second);
  }
}

template <class Link>
class Gamma final : public Family {
 public:
  std::string name() const override { return "gamma"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::positive; }
  std::vector<Parameter> parameters() const override { return {{"shape", "the variance is mu^2 / shape"}}; }
  std::string reference() const override { return "McCullagh and Nelder (1989), chapter 8"; }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -prior_weight * std::log(y);
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    if constexpr (std::is_same_v<Link, link::Log>) {
      by_order(order, [&]<Order own>() { log_rows<own>(rows, out); });
    } else {
      series_derivatives<Density<Link>>(order, rows, out);
    }
  }

  bool has_tails() const override { return true; }
  bool shifts() const override { return std::is_same_v<Link, link::Log>; }
  void log_tail(Order order, const Rows& rows, const RowDerivatives& out) const override {
    gamma::log_tail<Link>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<1>(rows, i);
      const Lanes slope = Link::log_mean(variable<1>(b.eta, Lanes{})).c[1];
      const Lanes information = numeric::exp(b.phi[0]) * b.weight * slope * slope;
      put(out, i, b.n, numeric::select(information > 0.0, information, numeric::broadcast(0.0)));
    }
  }

  double start_eta(const Observation& row) const override { return Link::of_mean(row.response); }
  void start_phi(double mean_square, double* phi) const override {
    phi[0] = mean_square > 0.0 ? -std::log(mean_square) : 0.0;
  }

  // With the mean itself the density falls off like 1 / mu.
  bool log_concave() const override { return !std::is_same_v<Link, link::Identity>; }
  double supremum(const Observation& row, const double* phi) const override {
    return row.weight * (0.5 * phi[0] - numeric::stirling_remainder(numeric::broadcast(std::exp(phi[0])))[0] -
                         0.91893853320467274178);
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double*) const override { return mu * mu; }
  double dispersion(const double* phi) const override { return std::exp(-phi[0]); }
  double unit_deviance(double y, double mu, const double*) const override {
    return 2.0 * ((y - mu) / mu - std::log(y / mu));
  }
};

template <class Link>
Entry entry() {
  return {"gamma", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<Gamma<Link>>(); }};
}

}  // namespace

std::vector<Entry> gamma_entries() { return {entry<link::Log>(), entry<link::Inverse>(), entry<link::Identity>()}; }

}  // namespace multilevel::family
