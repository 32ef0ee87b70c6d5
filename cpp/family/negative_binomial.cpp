// NegativeBinomial(y | mean mu, size k), variance mu + mu^2 / k, phi = log k; y >= 0 ("NB2"). The log density is
// y log mu - (y + k) log(1 + mu / k) + (y + k - 1/2) log(1 + y / k) - y + s(y + k) - s(k) - log y!, where s is the
// remainder of Stirling's formula: it becomes the Poisson's as the size grows, without a digit lost. The prior weight
// multiplies the log density.
#include <cmath>

#include "family/link.hpp"
#include "family/of_count.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family {

namespace {

constexpr double poisson_from = 30.0;  // of log size: differences from the Poisson are below 1e-13 mu^2

/// What does not depend on mu, as a function of phi.
struct Constant {
  template <class T>
  static T value(Lanes y, const T& phi) {
    const T size = exp(phi), both = size + y;
    return (both + -0.5) * log1p(y * exp(-phi)) + numeric::stirling_remainder(both) -
           numeric::stirling_remainder(size) + -y;
  }
};

template <class Link>
struct Density {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const Lanes y = row.response;
    const T constant = of_parameter(phi[0], [&](const auto& own) { return Constant::value(y, own); });
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

/// The log link by hand: of s = eta - phi, with p = 1 / (1 + e^-s), the density is y eta - (y + k) log(1 + e^s) +
/// c(phi).
template <Order order>
void log_rows(const Rows& rows, const RowDerivatives& out) {
  using namespace series_kernel;
  constexpr int depth = order == Order::step ? 0 : 2;
  auto& constants = OfCount<Constant>::kept();
  const bool kept = constants.keep(rows), common = rows.data.phi.step[0] == 0;
  Lanes size{};
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block<1>(rows, i);
    const Lanes y = b.response, phi = b.phi[0];
    const Taylor<depth, Lanes> c =
        kept ? constants.template at<depth>(y) : OfCount<Constant>::template of<depth>(y, phi);
    if (!common || i == 0) size = numeric::exp(phi);
    const Lanes s = b.eta - phi, both = y + size, e = numeric::exp(-numeric::abs(s));
    const auto parts = numeric::logistic_parts(e);
    const Lanes rest = e * parts.reciprocal, log1p = 0.5 * (s + numeric::abs(s)) + parts.softplus;
    const Lanes p = numeric::select(s >= 0.0, parts.reciprocal, rest),
                q = numeric::select(s >= 0.0, rest, parts.reciprocal);
    auto give = [&](double* to, Lanes x) { put(to, i, b.n, weighted(b.weight, x)); };
    // the derivatives of log(1 + e^s)
    const Lanes d2 = p * q;
    give(out.value, y * b.eta - both * log1p + c.c[0]);
    give(out.eta[0], y - both * p);
    give(out.eta[1], -both * d2);
    if constexpr (order != Order::step) {
      if (out.phi[0][0]) give(out.phi[0][0], both * p - size * log1p + c.c[1]);
      if (out.phi[0][1]) give(out.phi[0][1], both * d2 - size * p);
      if (double* to = out.phi_phi[0][0]) give(to, 2.0 * size * p - size * log1p - both * d2 + 2.0 * c.c[2]);
    }
    if constexpr (order == Order::full) {
      const Lanes d3 = d2 * (q - p), d4 = d2 * (1.0 - 6.0 * d2);
      give(out.eta[2], -both * d3);
      give(out.eta[3], -both * d4);
      if (out.phi[0][2]) give(out.phi[0][2], both * d3 - size * d2);
      if (out.phi[0][3]) give(out.phi[0][3], both * d4 - size * d3);
      if (double* to = out.phi_phi[0][1]) give(to, 2.0 * size * d2 - size * p - both * d3);
      if (double* to = out.phi_phi[0][2]) give(to, 2.0 * size * d3 - size * d2 - both * d4);
    }
  }
}

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
    if constexpr (std::is_same_v<Link, link::Log>) {
      by_order(order, [&]<Order own>() { log_rows<own>(rows, out); });
    } else {
      series_derivatives<Density<Link>>(order, rows, out);
    }
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

  void suprema(int n, const Observations& data, double* out) const override {
    if constexpr (std::is_same_v<Link, link::Log>) {
      constexpr int block_rows = 64;
      double eta[block_rows], unused[2][block_rows];
      RowDerivatives own;
      own.eta[0] = unused[0];
      own.eta[1] = unused[1];
      for (int first = 0; first < n; first += block_rows) {
        const int m = std::min(block_rows, n - first);
        const Observations rows = data.from(first);
        for (int i = 0; i < m; i += lane_count) {
          const int lanes = std::min(lane_count, m - i);
          const Lanes y = series_kernel::take(rows.response, i, lanes), one = numeric::broadcast(1.0);
          series_kernel::put(eta, i, lanes, numeric::log(numeric::select(y > 0.0, y, one)));
        }
        own.value = out + first;
        log_rows<Order::step>({m, eta, rows}, own);
        for (int i = 0; i < m; ++i)
          if (!(rows.response[i] > 0.0)) out[first + i] = 0.0;
      }
    } else {
      Family::suprema(n, data, out);
    }
  }
  bool failures(int n, const Observations& data, double* out) const override {
    for (int j = 0; j < n; ++j) out[j] = std::exp(data.phi.at(0, j));
    return std::is_same_v<Link, link::Log>;
  }
  double log_size(const Phi& phi, std::ptrdiff_t row) const override {
    return std::is_same_v<Link, link::Log> ? phi.at(0, row) : std::numeric_limits<double>::quiet_NaN();
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
