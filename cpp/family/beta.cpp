// Beta(y | mean mu, precision k), variance mu (1 - mu) / (1 + k), phi = log k; 0 < y < 1. The prior weight multiplies
// the log density.
#include <array>
#include <cmath>

#include "family/best_fit.hpp"
#include "family/beta_density.hpp"
#include "family/registry.hpp"
#include "numeric/beta_remainders.hpp"

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

/// s(log x) of x = mu k or (1 - mu) k as a function of eta and phi, from its derivatives in log x, the k-th in the k-th
/// entry, and the derivatives of log x by eta.
template <std::size_t D>
struct Remainder {
  std::array<Lanes, D + 1> s;
  Lanes l[5];

  Lanes by_eta(int a) const {
    if (a == 1) return s[1] * l[1];
    if (a == 2 || D < 4) return s[2] * l[1] * l[1] + s[1] * l[2];
    if (a == 3) return s[3] * l[1] * l[1] * l[1] + 3.0 * s[2] * l[1] * l[2] + s[1] * l[3];
    return s[4] * l[1] * l[1] * l[1] * l[1] + 6.0 * s[3] * l[1] * l[1] * l[2] +
           s[2] * (4.0 * l[1] * l[3] + 3.0 * l[2] * l[2]) + s[1] * l[4];
  }
  /// The derivatives of s^(m): log x moves with phi one for one.
  Lanes of(int m, int a) const {
    const auto at = static_cast<std::size_t>(m);
    if (a == 0) return s[at];
    if (a == 1) return s[at + 1] * l[1];
    if (a == 2) return s[at + 2] * l[1] * l[1] + s[at + 1] * l[2];
    return s[at + 3] * l[1] * l[1] * l[1] + 3.0 * s[at + 2] * l[1] * l[2] + s[at + 1] * l[3];
  }
};

/// The logit link by hand.
template <Order order>
void logit_rows(const Rows& rows, const RowDerivatives& out) {
  using namespace series_kernel;
  constexpr std::size_t depth = order == Order::full ? 4 : 2;
  const bool common = rows.data.phi.step[0] == 0;
  Taylor<2, Lanes> c{};
  Lanes precision{};
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block<1>(rows, i);
    if (!common || i == 0) {
      c = beta_constant(variable<2>(b.phi[0], Lanes{}));
      precision = numeric::exp(b.phi[0]);
    }
    const Lanes size = numeric::abs(b.eta), e = numeric::exp(-size);
    const auto parts = numeric::logistic_parts(e);
    const LaneBits positive = b.eta >= 0.0;
    const Lanes small = e * parts.reciprocal, mu = numeric::select(positive, parts.reciprocal, small),
                rest = numeric::select(positive, small, parts.reciprocal);
    const Lanes log_mu = 0.5 * (b.eta - size) - parts.softplus, log_rest = -0.5 * (b.eta + size) - parts.softplus;
    const Lanes log_y = numeric::log(b.response), log_rest_y = numeric::log1p(-b.response);
    // the derivatives of mu by eta, which those of log mu and log(1 - mu) are made of
    const Lanes g1 = mu * rest, g2 = g1 * (rest - mu), g3 = g1 * (1.0 - 6.0 * g1), g4 = g2 * (1.0 - 12.0 * g1);
    const auto remainders =
        numeric::beta_remainders<depth>(mu * precision, log_mu + b.phi[0], rest * precision, log_rest + b.phi[0]);
    const Remainder<depth> one{remainders.a, {{}, rest, -g1, -g2, -g3}};
    const Remainder<depth> two{remainders.b, {{}, -mu, -g1, -g2, -g3}};
    const Lanes away = b.eta - (log_y - log_rest_y);
    // precision times D, by eta
    const Lanes d0 = precision * divergence(mu, rest, log_y - log_mu, log_rest_y - log_rest),
                d1 = precision * g1 * away, d2 = precision * (g2 * away + g1);
    auto give = [&](double* to, Lanes x) { put(to, i, b.n, weighted(b.weight, x)); };
    give(out.value, c.c[0] + 0.5 * (log_mu + log_rest) - d0 - remainders.sum);
    give(out.eta[0], 0.5 * (rest - mu) - d1 - one.by_eta(1) - two.by_eta(1));
    give(out.eta[1], -g1 - d2 - one.by_eta(2) - two.by_eta(2));
    if constexpr (order != Order::step) {
      if (out.phi[0][0]) give(out.phi[0][0], c.c[1] - d0 - one.of(1, 0) - two.of(1, 0));
      if (out.phi[0][1]) give(out.phi[0][1], -d1 - one.of(1, 1) - two.of(1, 1));
      if (double* to = out.phi_phi[0][0]) give(to, 2.0 * c.c[2] - d0 - one.of(2, 0) - two.of(2, 0));
    }
    if constexpr (order == Order::full) {
      const Lanes d3 = precision * (g3 * away + 2.0 * g2), d4 = precision * (g4 * away + 3.0 * g3);
      give(out.eta[2], -g2 - d3 - one.by_eta(3) - two.by_eta(3));
      give(out.eta[3], -g3 - d4 - one.by_eta(4) - two.by_eta(4));
      if (out.phi[0][2]) give(out.phi[0][2], -d2 - one.of(1, 2) - two.of(1, 2));
      if (out.phi[0][3]) give(out.phi[0][3], -d3 - one.of(1, 3) - two.of(1, 3));
      if (double* to = out.phi_phi[0][1]) give(to, -d1 - one.of(2, 1) - two.of(2, 1));
      if (double* to = out.phi_phi[0][2]) give(to, -d2 - one.of(2, 2) - two.of(2, 2));
    }
  }
}

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
    if constexpr (std::is_same_v<Link, link::Logit>) {
      by_order(order, [&]<Order own>() { logit_rows<own>(rows, out); });
    } else {
      series_derivatives<Density<Link>>(order, rows, out);
    }
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
