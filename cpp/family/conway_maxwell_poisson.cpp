// ConwayMaxwellPoisson(y | mean mu, nu): y log lambda - nu log y! - log Z, Z the sum of lambda^j / (j!)^nu and lambda
// the one that gives the mean mu; phi = -log nu; y >= 0. The variance is near mu / nu. The prior weight multiplies the
// log density.
//
// log Z as a function of log lambda and nu is the cumulant function of the count and of -log of its factorial: its
// series follows from moments at the point, and the series of log lambda in eta and phi from that of the mean.
#include <cmath>
#include <type_traits>

#include "family/best_fit.hpp"
#include "family/conway_maxwell.hpp"
#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"

namespace multilevel::family {

namespace {

constexpr double geometric_from = 32.0;  // of -log nu: nu log y! is below 1e-11 for counts of a hundred

/// From there on the asymptotic series is exact in doubles: of nu lambda^(1/nu), which its terms are powers of, of
/// lambda^(1/nu), and of their ratio, the variance, where a sum is not an integral up to exp(-2 pi^2 of it).
constexpr double far_rate = 128.0, far_mean = 30.0, far_variance = 4.0;

inline LaneBits is_far(Lanes mu, Lanes nu) { return (mu * nu > far_rate) & (mu > far_mean) & (mu > far_variance * nu); }

/// From sums over all counts; flattened, or products of series are calls.
template <int D, class In>
[[gnu::flatten]] inline Taylor<D, In> from_sums(const Taylor<D, In>& mu, Lanes y, const Taylor<D, In>& nu) {
  const Lanes mu_0 = numeric::constant_term(mu), nu_0 = numeric::constant_term(nu);
  const auto at = conway_maxwell::origin(mu_0);
  constexpr int most = D + 2;  // one more than derivatives need: lambda is only close
  constexpr bool by_nu = !std::is_same_v<In, Lanes>;
  const auto& moments = conway_maxwell::Kept<most, by_nu>::of(mu_0, nu_0, at);
  // The exponent of a term moves by x (j - mu) - delta (g - its mean): the cumulant function of these two.
  const In delta = nu.c[0] + -nu_0;
  Taylor<most, In> generating;
  double inverse_factorial = 1.0;
  for (int a = 0; a <= most; ++a) {
    const Lanes* of = moments.of[a];
    In term = numeric::constant_like(delta, of[0]);
    if constexpr (by_nu) term = of[2] * (0.5 * (delta * delta)) - of[1] * delta + term;
    generating.c[a] = inverse_factorial * term;
    inverse_factorial /= a + 1.0;
  }
  const Taylor<most, In> cumulant = log(generating);
  // Its derivative by x is how far the mean is from mu_0: x so that this is what mu moves by, and what lambda is off.
  const Taylor<D, In> wanted = mu + -mu_0;
  const Lanes per_variance = 1.0 / (2.0 * numeric::constant_term(cumulant.c[2]));
  Taylor<D, In> x = numeric::constant_like(mu, broadcast(0.0));
  for (int order = 0; order <= D; ++order) {
    Taylor<D, In> mean = numeric::constant_like(mu, broadcast(0.0));
    for (int k = most - 1; k >= 0; --k) {
      mean = mean * x;
      mean.c[0] = mean.c[0] + static_cast<double>(k + 1) * cumulant.c[k + 1];
    }
    x = x + per_variance * (wanted - mean);
  }
  Taylor<D, In> value = numeric::constant_like(mu, broadcast(0.0));
  for (int k = most; k >= 0; --k) {
    value = value * x;
    value.c[0] = value.c[0] + cumulant.c[k];
  }
  const Lanes g = conway_maxwell::log_factorial_left(y, at);
  value = (y - mu_0) * x - value + ((y - at.m) * moments.slope - nu_0 * g - moments.log_total);
  if constexpr (by_nu) value.c[0] = value.c[0] - (g - moments.g) * delta;
  return value;
}

/// The asymptotic series of log Z in s = lambda^(1/nu):
/// nu s - (nu - 1) (log s + log(2 pi)) / 2 - log(nu) / 2 + b1 / (nu s) + b2 / (nu s)^2 + ..., where b are polynomials
/// in nu^2. They follow from Stirling's series about s - 1/2 and the moments of a normal variable.
constexpr int n_far = 9, n_powers = 6;
constexpr double far_coefficient[n_far][n_powers] = {
    {-1.0 / 24.0, 1.0 / 24.0},
    {-1.0 / 48.0, 1.0 / 48.0},
    {-161.0 / 5760.0, 170.0 / 5760.0, -9.0 / 5760.0},
    {-367.0 / 5760.0, 410.0 / 5760.0, -43.0 / 5760.0},
    {-601285.0 / 2903040.0, 707007.0 / 2903040.0, -107247.0 / 2903040.0, 1525.0 / 2903040.0},
    {-636688.0 / 725760.0, 783363.0 / 725760.0, -151662.0 / 725760.0, 4987.0 / 725760.0},
    {-6389072441.0 / 1393459200.0, 8183064500.0 / 1393459200.0, -1893190278.0 / 1393459200.0, 99814100.0 / 1393459200.0,
     -615881.0 / 1393459200.0},
    {-993607187.0 / 34836480.0, 1318965920.0 / 34836480.0, -350370174.0 / 34836480.0, 25400360.0 / 34836480.0,
     -388919.0 / 34836480.0},
    {-25240359385355.0 / 122624409600.0, 34599271022327.0 / 122624409600.0, -10277058975150.0 / 122624409600.0,
     942470312366.0 / 122624409600.0, -24405557495.0 / 122624409600.0, 82583307.0 / 122624409600.0},
};

/// At a mean: the series is of what may depend on nu alone, In, and of what depends on the mean as well, T.
template <class T, class In>
struct Far {
  In inverse_nu, b[n_far];
  T s;

  Far(const T& mu, const In& nu) {
    const In square = nu * nu;
    for (int k = 0; k < n_far; ++k) {
      b[k] = numeric::constant_like(nu, broadcast(0.0));
      for (int i = n_powers - 1; i >= 0; --i) b[k] = b[k] * square + broadcast(far_coefficient[k][i]);
    }
    inverse_nu = numeric::constant_like(nu, broadcast(1.0)) / nu;
    // the mean is s - (nu - 1) / (2 nu) - (b1 / (nu s) + 2 b2 / (nu s)^2 + ...) / nu
    const T base = plus(mu, 0.5 * (numeric::constant_like(nu, broadcast(1.0)) - inverse_nu));
    s = base;
    for (int i = 0; i < 4; ++i) s = base + times(inverse_nu, sum(1));
  }

  /// b1 u + b2 u^2 + ..., each times a power of its number, u = 1 / (nu s).
  T sum(int power) const {
    const T u = times(inverse_nu, numeric::constant_like(s, broadcast(1.0)) / s);
    T total = numeric::constant_like(s, broadcast(0.0));
    for (int k = n_far; k >= 1; --k) total = u * plus(total, std::pow(k, power) * b[k - 1]);
    return total;
  }

  static T plus(T x, const In& own) {
    if constexpr (std::is_same_v<T, In>)
      x = x + own;
    else
      x.c[0] = x.c[0] + own;
    return x;
  }
  static T times(const In& own, T x) {
    if constexpr (std::is_same_v<T, In>)
      x = own * x;
    else
      for (auto& c : x.c) c = own * c;
    return x;
  }
};

template <int D, class In>
inline Taylor<D, In> from_series(const Taylor<D, In>& mu, Lanes y, const Taylor<D, In>& nu) {
  using T = Taylor<D, In>;
  const Far<T, In> far(mu, nu.c[0]);
  const LaneBits none = y == 0.0;
  const Lanes positive = numeric::select(none, broadcast(1.0), y);
  const T log_s = log(far.s), ratio = log_s + -numeric::log(positive);
  const Lanes stirling = 0.5 * numeric::log(6.283185307179586477 * positive) + numeric::stirling_remainder(positive);
  const T own = numeric::select(none, -far.s, y * (ratio - expm1(ratio)) + -stirling);
  return nu * own + 0.5 * ((nu + -1.0) * (log_s + 1.83787706640934548356)) + 0.5 * log(nu) - far.sum(0);
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
    const T by_sums = from_sums(numeric::select(far, one, mu), y, nu);  // rows that share nu still do
    return weighted(row.weight, numeric::select(far, by_series, by_sums));
  }
};

inline Lanes variance_of(Lanes mu, Lanes nu) {
  const LaneBits far = is_far(mu, nu);
  const Lanes near = numeric::select(far, broadcast(1.0), mu);
  const auto& moments = conway_maxwell::Kept<4, false>::of(near, nu, conway_maxwell::origin(near));
  const Lanes there = moments.variance(), own = there - moments.third_cumulant() * moments.of[1][0] / there;
  // the derivative of the mean by log lambda
  const Far<Lanes, Lanes> series(numeric::select(far, mu, broadcast(1e3)), numeric::select(far, nu, broadcast(1.0)));
  return numeric::select(far, (series.s + series.sum(2) * series.inverse_nu) * series.inverse_nu, own);
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
