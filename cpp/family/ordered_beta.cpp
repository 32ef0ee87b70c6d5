// OrderedBeta(y | eta, precision k, cut points c < d): zero with the probability of 1 - F(eta - c), one with that of
// F(eta - d), F the logistic function, and between them Beta(F(eta), k) with what is left; 0 <= y <= 1. phi holds log
// k, c and log(d - c). The prior weight multiplies the log density.
#include <cmath>

#include "family/best_fit.hpp"
#include "family/beta_density.hpp"
#include "family/registry.hpp"

namespace multilevel::family {

namespace {

struct Density {
  static constexpr int n_phi = 3;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const Lanes y = row.response, zero = numeric::broadcast(0.0), one = numeric::broadcast(1.0);
    const LaneBits bottom = y == 0.0, top = y == 1.0, between = ~(bottom | top);
    const T width = of_parameter(phi[2], [](const auto& own) { return exp(own); });
    const T share = of_parameter(width, [](const auto& own) { return log1mexp(own); });
    const T above = eta - phi[1], below = above - width;  // the lower and the upper cut
    // log F(above), or of its complement where y = 0; and the complement of F(below), or F where y = 1
    const T value = numeric::select(top, zero, one) * -softplus(numeric::select(bottom, one, -one) * above) +
                    numeric::select(bottom, zero, one) * -softplus(numeric::select(top, -one, one) * below);
    const T inside = beta_log_density<link::Logit>(eta, numeric::select(between, y, numeric::broadcast(0.5)), phi[0]);
    return weighted(row.weight, numeric::select(between, value + share + inside, value));
  }
};

struct Shares {
  double zero, between, one;
};
Shares shares(double eta, const double* phi) {
  using link::Logit;
  const double above = eta - phi[1], width = std::exp(phi[2]), below = above - width;
  return {Logit::inverse(-above), Logit::inverse(above) * Logit::inverse(-below) * -std::expm1(-width),
          Logit::inverse(below)};
}

class OrderedBeta final : public Family {
 public:
  std::string name() const override { return "ordered_beta"; }
  std::string link() const override { return link::Logit::name; }
  Support support() const override { return Support::closed_unit; }
  std::vector<Parameter> parameters() const override {
    constexpr double none = std::numeric_limits<double>::infinity();
    return {{"precision", "between 0 and 1 the variance is mu (1 - mu) / (1 + precision)"},
            {"lower_cut", "0 has the probability 1 / (1 + exp(eta - lower_cut))", none, "", Scale::plain, "lower_cut"},
            {"cut_distance", "1 has the probability 1 / (1 + exp(lower_cut + cut_distance - eta))", none, "",
             Scale::log, "cut_distance"}};
  }
  std::string reference() const override { return "Kubinec (2023), Political Analysis 31, 519-536"; }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = y > 0.0 && y < 1.0 ? -prior_weight * (std::log(y) + std::log1p(-y)) : 0.0;
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density>(order, rows, out);
  }

  /// That of which of the three a response is, and in between that of a beta distribution.
  void expected_information(const Rows& rows, double* out) const override {
    for (int i = 0; i < rows.n; ++i) {
      double phi[3];
      for (int r = 0; r < 3; ++r) phi[r] = rows.data.phi.at(r, i);
      const Shares p = shares(rows.eta[i], phi);
      const double down = p.zero * (1.0 - p.zero), up = p.one * (1.0 - p.one), mu = link::Logit::inverse(rows.eta[i]);
      double information = p.zero * (1.0 - p.zero) * (1.0 - p.zero) + p.one * (1.0 - p.one) * (1.0 - p.one);
      if (p.between > 0.0) information += (down - up) * (down - up) / p.between;
      information += p.between * (1.0 + std::exp(phi[0])) * mu * link::Logit::inverse(-rows.eta[i]);
      out[i] = rows.data.weight[i] * information;
    }
  }

  double start_eta(const Observation& row) const override { return link::Logit::of_mean(0.02 + 0.96 * row.response); }
  void start_phi(double, double* phi) const override {
    phi[0] = 1.5;
    phi[1] = -2.5;
    phi[2] = 1.5;
  }

  bool log_concave() const override { return false; }
  bool far_modes() const override { return false; }
  double supremum(const Observation& row, const double* phi) const override {
    if (row.response == 0.0 || row.response == 1.0) return 0.0;
    return largest_log_density(*this, row, phi, start_eta(row));
  }
  int recession(const Observation& row) const override {
    return row.response == 1.0 ? 1 : row.response == 0.0 ? -1 : 0;
  }

  /// Of what lies between zero and one.
  double mean(double eta) const override { return link::Logit::inverse(eta); }
  double link_of_mean(double mu) const override { return link::Logit::of_mean(mu); }
  /// The mean square of the distance of a response, zero and one as well, from that mean.
  double variance(double mu, const double* phi) const override {
    const Shares p = shares(link::Logit::of_mean(mu), phi);
    const double rest = 1.0 - mu;
    return p.zero * mu * mu + p.one * rest * rest + p.between * mu * rest / (1.0 + std::exp(phi[0]));
  }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const Observation row{y, 1.0, 1.0};
    return 2.0 * (supremum(row, phi) - at_eta(*this, row, phi, link_of_mean(mu)).value);
  }
};

}  // namespace

std::vector<Entry> ordered_beta_entries() {
  return {
      {"ordered_beta", link::Logit::name, []() -> std::unique_ptr<Family> { return std::make_unique<OrderedBeta>(); }}};
}

}  // namespace multilevel::family
