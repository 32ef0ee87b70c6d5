// Poisson(y | mu): y log mu - mu - log y!; y >= 0. The prior weight multiplies the log density.
#include <algorithm>
#include <cmath>
#include <limits>

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
    const T value = weighted(row.weight * row.response, Link::log_mean(eta)) - row.weight * Link::mean(eta);
    return only_where(Link::feasible_rate(numeric::constant_term(eta)), value);
  }
};

/// The log link by hand: all derivatives from the second on are the same.
template <bool Full>
void log_rows(const Rows& rows, const RowDerivatives& out) {
  using namespace series_kernel;
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block(rows, i);
    const Lanes mu = numeric::exp(b.eta);
    put(out.value, i, b.n, b.weight * (b.response * b.eta - mu));
    put(out.eta[0], i, b.n, b.weight * (b.response - mu));
    const Lanes curvature = -b.weight * mu;
    put(out.eta[1], i, b.n, curvature);
    if constexpr (Full) {
      put(out.eta[2], i, b.n, curvature);
      put(out.eta[3], i, b.n, curvature);
    }
  }
}

template <class Link>
class Poisson final : public Family {
 public:
  std::string name() const override { return "poisson"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::counts; }
  std::string reference() const override { return "McCullagh and Nelder (1989), chapter 6"; }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -prior_weight * std::lgamma(y + 1.0);
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    if constexpr (std::is_same_v<Link, link::Log>) {
      if (order == Order::full)
        log_rows<true>(rows, out);
      else
        log_rows<false>(rows, out);
    } else {
      series_derivatives<Density<Link>>(order, rows, out);
    }
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block(rows, i);
      // mu'^2 / mu is mu' times the derivative of log mu.
      const auto eta = variable<1>(b.eta, Lanes{});
      const Lanes information = b.weight * Link::mean(eta).c[1] * Link::log_mean(eta).c[1];
      put(out, i, b.n, numeric::select(information > 0.0, information, numeric::broadcast(0.0)));
    }
  }

  double start_eta(const Observation& row) const override { return Link::of_mean(row.response + 0.1); }

  // A square root link has every mean twice, on either side of zero.
  bool log_concave() const override { return !is_even(); }
  bool canonical() const override { return std::is_same_v<Link, link::Log>; }
  bool is_even() const override { return std::is_same_v<Link, link::Sqrt>; }
  bool vanishes_at_zero(const Observation& row) const override { return is_even() && row.response > 0.0; }
  double supremum(const Observation& row, const double*) const override {
    return row.response > 0.0 ? row.weight * row.response * (std::log(row.response) - 1.0) : 0.0;
  }

  bool failures(int n, const Observations&, double* out) const override {
    std::fill_n(out, n, std::numeric_limits<double>::infinity());
    return std::is_same_v<Link, link::Log>;
  }

  int recession(const Observation& row) const override {
    // Only a log link reaches the mean zero at infinity.
    return std::is_same_v<Link, link::Log> && row.response == 0.0 ? -1 : 0;
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double mu, const double*) const override { return mu; }
  double unit_deviance(double y, double mu, const double*) const override {
    return 2.0 * ((y > 0.0 ? y * std::log(y / mu) : 0.0) - (y - mu));
  }
};

template <class Link>
Entry entry() {
  return {"poisson", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<Poisson<Link>>(); }};
}

}  // namespace

std::vector<Entry> poisson_entries() { return {entry<link::Log>(), entry<link::Sqrt>(), entry<link::Identity>()}; }

}  // namespace multilevel::family
