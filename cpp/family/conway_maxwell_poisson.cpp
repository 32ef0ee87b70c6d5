// ConwayMaxwellPoisson(y | mean mu, nu): y log lambda - nu log y! - log Z, Z the sum of lambda^j / (j!)^nu and lambda
// the one that gives the mean mu; phi = -log nu; y >= 0. The variance is near mu / nu. The prior weight multiplies the
// log density.
//
// log Z as a function of log lambda and nu is the cumulant function of the count and of -log of its factorial: its
// series follows from moments at the point, and the series of log lambda in eta and phi from that of the mean.
#include <cmath>

#include "family/best_fit.hpp"
#include "family/conway_maxwell.hpp"
#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"

namespace multilevel::family {

namespace {

constexpr double geometric_from = 32.0;  // of -log nu: nu log y! is below 1e-11 for counts of a hundred

/// Of nu lambda^(1/nu) and lambda^(1/nu) / nu^3; from there on the asymptotic series is exact in doubles.
constexpr double far_rate = 1e4;

inline LaneBits is_far(Lanes mu, Lanes nu) { return (mu * nu > far_rate) & (mu > far_rate * nu * nu * nu); }

/// From sums over all counts.
template <int D, class In>
inline Taylor<D, In> from_sums(const Taylor<D, In>& mu, Lanes y, const Taylor<D, In>& nu) {
  const Lanes mu_0 = numeric::constant_term(mu), nu_0 = numeric::constant_term(nu);
  const auto at = conway_maxwell::origin(mu_0);
  const auto& moments = conway_maxwell::Kept::of(mu_0, nu_0, at, 1e-12);
  // The exponent of a term moves by x (j - mu) - delta (g - its mean): the cumulant function of these two.
  const In delta = nu.c[0] + -nu_0, half_square = 0.5 * (delta * delta);
  Taylor<D + 1, In> generating;
  for (int a = 0; a <= D + 1; ++a) {
    const Lanes* of = moments.of[a];
    generating.c[a] = (1.0 / (a == 5 ? 120.0 : series_kernel::factorial[a])) *
                      (of[2] * half_square - of[1] * delta + numeric::constant_like(delta, of[0]));
  }
  const Taylor<D + 1, In> cumulant = log(generating);
  // Its derivative by x is how far the mean is from mu_0: x so that this is what mu moves by. The lambda of the sums is
  // only close, and x makes up for that as well.
  const Taylor<D, In> wanted = mu + -mu_0;
  const Lanes per_variance = 1.0 / (2.0 * numeric::constant_term(cumulant.c[2]));
  Taylor<D, In> x = numeric::constant_like(mu, broadcast(0.0));
  for (int order = 0; order <= D; ++order) {
    Taylor<D, In> mean = numeric::constant_like(mu, broadcast(0.0));
    for (int k = D; k >= 0; --k) {
      mean = mean * x;
      mean.c[0] = mean.c[0] + static_cast<double>(k + 1) * cumulant.c[k + 1];
    }
    x = x + per_variance * (wanted - mean);
  }
  Taylor<D, In> value = numeric::constant_like(mu, broadcast(0.0));
  for (int k = D; k >= 0; --k) {
    value = value * x;
    value.c[0] = value.c[0] + cumulant.c[k];
  }
  const Lanes g = conway_maxwell::log_factorial_left(y, at);
  value = (y - mu_0) * x - value + ((y - at.m) * moments.slope - nu_0 * g - moments.log_total);
  value.c[0] = value.c[0] - (g - moments.g) * delta;
  return value;
}

/// By the asymptotic series of log Z in s = lambda^(1/nu):
/// nu s - (nu - 1) (log s + log(2 pi)) / 2 - log(nu) / 2 + log(1 + c1 / (nu s) + c2 / (nu s)^2 + c3 / (nu s)^3).
template <int D, class In>
inline Taylor<D, In> from_series(const Taylor<D, In>& mu, Lanes y, const Taylor<D, In>& nu) {
  using T = Taylor<D, In>;
  const T one = numeric::constant_like(mu, broadcast(1.0)), inverse_nu = one / nu, square = nu * nu;
  const T less = square + -1.0;
  const T c1 = (1.0 / 24.0) * less, c2 = (1.0 / 1152.0) * (less * (square + 23.0));
  const T c3 = (1.0 / 414720.0) * (less * (5.0 * (square * square) - 298.0 * square + 11237.0));
  const T base = mu + 0.5 + -0.5 * inverse_nu;
  T s = base, sum = one;
  for (int i = 0; i < 4; ++i) {
    const T u = inverse_nu / s;
    sum = one + u * (c1 + u * (c2 + u * c3));
    const T slope = -(u * (c1 + u * (2.0 * c2 + 3.0 * (u * c3))));  // of the sum by log s
    s = base - inverse_nu * (slope / sum);
  }
  const LaneBits none = y == 0.0;
  const Lanes positive = numeric::select(none, broadcast(1.0), y);
  const T log_s = log(s), ratio = log_s + -numeric::log(positive);
  const Lanes stirling = 0.5 * numeric::log(6.283185307179586477 * positive) + numeric::stirling_remainder(positive);
  const T own = numeric::select(none, -s, y * (ratio - expm1(ratio)) + -stirling);
  return nu * own + 0.5 * ((nu + -1.0) * (log_s + 1.83787706640934548356)) + 0.5 * log(nu) - log(sum);
}

struct Density {
  static constexpr int n_phi = 1;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const Lanes y = row.response;
    const T mu = exp(eta), nu = of_parameter(phi[0], [](const auto& own) { return exp(-own); });
    const LaneBits far = is_far(numeric::constant_term(mu), numeric::constant_term(nu));
    if (!conway_maxwell::any(far)) return weighted(row.weight, from_sums(mu, y, nu));
    const T by_series = from_series(mu, y, nu);
    if (!conway_maxwell::any(~far)) return weighted(row.weight, by_series);
    const T one = numeric::constant_like(mu, broadcast(1.0));
    const T by_sums = from_sums(numeric::select(far, one, mu), y, numeric::select(far, one, nu));
    return weighted(row.weight, numeric::select(far, by_series, by_sums));
  }
};

inline Lanes variance_of(Lanes mu, Lanes nu) {
  const LaneBits far = is_far(mu, nu);
  const Lanes near = numeric::select(far, broadcast(1.0), mu);
  const Lanes near_nu = numeric::select(far, broadcast(1.0), nu);
  const auto moments = conway_maxwell::moments(near, near_nu, conway_maxwell::origin(near), 1e-17);
  // of the series: the derivative of s - (nu - 1) / (2 nu) - c1 / (nu^2 s) by log lambda
  const Lanes s = mu + 0.5 - 0.5 / nu;
  const Lanes small = (nu * nu - 1.0) / (24.0 * nu * nu * s);
  return numeric::select(far, (s + 2.0 * small) / nu, moments.of[2][0]);
}

class ConwayMaxwellPoisson final : public Family {
 public:
  std::string name() const override { return "conway_maxwell_poisson"; }
  std::string link() const override { return link::Log::name; }
  Support support() const override { return Support::counts; }
  std::vector<Parameter> parameters() const override {
    return {{"nu", "the variance is near mu / nu", geometric_from, "geometric", Scale::reciprocal}};
  }
  std::string reference() const override { return "Huang (2017), Statistical Modelling 17, 359-380"; }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = 0.0;
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    using namespace series_kernel;
    for (int i = 0; i < rows.n; i += lane_count) {
      const Block b = block<1>(rows, i);
      const Lanes mu = numeric::exp(b.eta);
      put(out, i, b.n, b.weight * (mu * (mu / variance_of(mu, numeric::exp(-b.phi[0])))));
    }
  }

  double start_eta(const Observation& row) const override { return std::log(row.response + 0.1); }
  void start_phi(double mean_square, double* phi) const override {
    // at nu = 1 it is the variance over the mean
    phi[0] = std::log(std::fmin(std::fmax(mean_square, 0.1), 10.0));
  }

  bool log_concave() const override { return false; }
  bool far_modes() const override { return false; }
  double supremum(const Observation& row, const double* phi) const override {
    return row.response > 0.0 ? at_eta(*this, row, phi, std::log(row.response)).value : 0.0;
  }
  int recession(const Observation& row) const override { return row.response == 0.0 ? -1 : 0; }

  double mean(double eta) const override { return std::exp(eta); }
  double link_of_mean(double mu) const override { return std::log(mu); }
  double variance(double mu, const double* phi) const override {
    return variance_of(broadcast(mu), broadcast(std::exp(-phi[0])))[0];
  }
  double unit_deviance(double y, double mu, const double* phi) const override {
    const Observation row{y, 1.0, 1.0};
    return 2.0 * (supremum(row, phi) - at_eta(*this, row, phi, std::log(mu)).value);
  }
};

}  // namespace

std::vector<Entry> conway_maxwell_poisson_entries() {
  return {{"conway_maxwell_poisson", link::Log::name,
           []() -> std::unique_ptr<Family> { return std::make_unique<ConwayMaxwellPoisson>(); }}};
}

}  // namespace multilevel::family
