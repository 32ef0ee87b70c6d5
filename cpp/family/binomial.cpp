// Binomial(y | size, mu): log choose(size, y) + y log mu + (size - y) log(1 - mu); 0 <= y <= size.
// Prepared rows hold the weighted successes and the weighted trials.
#include <cmath>

#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"

namespace multilevel::family {

namespace {

template <class Link>
struct Density {
  static constexpr int n_phi = 0;
  template <class T>
  static T value(const T& eta, const Row& row, const T*) {
    const Lanes successes = row.response, trials = row.weight;
    const T value = weighted(successes, Link::log_mean(eta)) + weighted(trials - successes, Link::log_complement(eta));
    return only_where(Link::feasible_probability(numeric::constant_term(eta)), value);
  }
};

/// The logit by hand: one exponential and one logarithm for the value and all four derivatives.
template <bool Full>
void logit_rows(const Rows& rows, const RowDerivatives& out) {
  using namespace series_kernel;
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block(rows, i);
    const Lanes magnitude = numeric::abs(b.eta);
    const Lanes e = numeric::exp(-magnitude);
    const numeric::LogisticParts parts = numeric::logistic_parts(e);
    const Lanes larger = parts.reciprocal;  // the larger of mu and 1 - mu
    const Lanes smaller = e * larger;
    const auto positive = b.eta >= 0.0;
    const Lanes mu = numeric::select(positive, larger, smaller);
    const Lanes complement = numeric::select(positive, smaller, larger);
    const Lanes variance = larger * smaller;
    const Lanes softplus = 0.5 * (b.eta + magnitude) + parts.softplus;
    put(out.value, i, b.n, b.response * b.eta - b.weight * softplus);
    // y - mu as y (1 - mu) - (size - y) mu: no cancellation when mu is close to y.
    put(out.eta[0], i, b.n, b.response * complement - (b.weight - b.response) * mu);
    const Lanes curvature = -b.weight * variance;
    put(out.eta[1], i, b.n, curvature);
    if constexpr (Full) {
      put(out.eta[2], i, b.n, curvature * (complement - mu));
      put(out.eta[3], i, b.n, curvature * (1.0 - 6.0 * variance));
    }
  }
}

template <class Link>
class Binomial final : public Family {
 public:
  std::string name() const override { return "binomial"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::trials; }
  std::string reference() const override { return "McCullagh and Nelder (1989), chapter 4"; }
  bool canonical() const override { return std::is_same_v<Link, link::Logit>; }

  Observation prepare(double y, double size, double prior_weight, double* constant) const override {
    *constant = size == 1.0
                    ? 0.0
                    : prior_weight * (std::lgamma(size + 1.0) - std::lgamma(y + 1.0) - std::lgamma(size - y + 1.0));
    return {prior_weight * y, size, prior_weight * size};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    if constexpr (std::is_same_v<Link, link::Logit>) {
      if (order == Order::full)
        logit_rows<true>(rows, out);
      else
        logit_rows<false>(rows, out);
    } else {
      series_derivatives<Density<Link>>(order, rows, out);
    }
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block(rows, i);
      // mu'^2 / (mu (1 - mu)) is minus the product of the derivatives of log mu and log(1 - mu).
      const auto eta = variable<1>(b.eta, Lanes{});
      const Lanes information = -b.weight * Link::log_mean(eta).c[1] * Link::log_complement(eta).c[1];
      put(out, i, b.n, numeric::select(information > 0.0, information, numeric::broadcast(0.0)));
    }
  }

  double start_eta(const Observation& row) const override {
    return Link::of_mean((row.response + 0.5) / (row.weight + 1.0));
  }

  // The tails of the Cauchy distribution are convex; the distribution functions of the other links are log-concave on
  // either side.
  bool log_concave() const override { return !std::is_same_v<Link, link::Cauchit>; }
  double supremum(const Observation& row, const double*) const override {
    const double successes = row.response, trials = row.weight, failures = trials - successes;
    return (successes > 0.0 ? successes * std::log(successes / trials) : 0.0) +
           (failures > 0.0 ? failures * std::log(failures / trials) : 0.0);
  }

  bool bounds(int n, const Observations& data, const Bounds& out) const override {
    if (!std::is_same_v<Link, link::Cauchit>) return false;
    for (int j = 0; j < n; ++j) {
      // What makes successes likelier is convex where failures are, on the other side of zero.
      const double successes = data.response[j], failures = data.weight[j] - successes;
      out.value[j] = 0.0;
      out.second[j] = link::Cauchit::most_convex * std::fmax(successes, failures);
      out.third[j] = link::Cauchit::most_bent * data.weight[j];
    }
    return true;
  }

  bool failures(int n, const Observations& data, double* out) const override {
    for (int j = 0; j < n; ++j) out[j] = data.weight[j] - data.response[j];
    return std::is_same_v<Link, link::Logit>;
  }

  int recession(const Observation& row) const override {
    // A log link reaches one at eta = 0.
    if (row.response == row.weight && !std::is_same_v<Link, link::Log>) return 1;
    return row.response == 0.0 ? -1 : 0;
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double*) const override { return mu * (1.0 - mu); }
  double unit_deviance(double y, double mu, const double*) const override {
    const double success = y > 0.0 ? y * std::log(y / mu) : 0.0;
    const double failure = y < 1.0 ? (1.0 - y) * (std::log1p(-y) - std::log1p(-mu)) : 0.0;
    return 2.0 * (success + failure);
  }
};

template <class Link>
Entry entry() {
  return {"binomial", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<Binomial<Link>>(); }};
}

}  // namespace

std::vector<Entry> binomial_entries() {
  return {entry<link::Logit>(), entry<link::Probit>(), entry<link::Cloglog>(), entry<link::Cauchit>(),
          entry<link::Log>()};
}

}  // namespace multilevel::family
