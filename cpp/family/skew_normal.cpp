// SkewNormal(y | mean mu, standard deviation sigma / sqrt(weight), slant alpha), phi = (log sigma, s). With
// delta = alpha / sqrt(1 + alpha^2), b = delta sqrt(2 / pi) and omega = sigma / sqrt(1 - b^2) the density of
// z = (y - mu) / omega + b is 2 phi(z) Phi(alpha z): the normal one at alpha = 0. As there the prior weight is a
// precision.
//
// Around alpha = 0 the density depends on alpha^3 alone, so that every likelihood is level there, and a search that
// came from the wrong side would stop. What moves is s = (1 + e) alpha - alpha / (1 + alpha^2), about alpha^3 close to
// zero and alpha far from it, in which what is level is narrow; a search that ends there looks on both sides.
#include <cmath>

#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"
#include "numeric/normal_tail.hpp"

namespace multilevel::family {

namespace {

constexpr double root_two_over_pi = 0.79788456080286535588, log_two = 0.69314718055994530942;

constexpr double least_slope = 0.02;  // e

/// s of a slant, with two derivatives.
struct Moved {
  double value, first, second;
};
inline Moved moved(double alpha) {
  const double square = alpha * alpha, one = 1.0 + square;
  return {(1.0 + least_slope) * alpha - alpha / one, 1.0 + least_slope - (1.0 - square) / (one * one),
          (6.0 - 2.0 * square) * alpha / (one * one * one)};
}

/// The slant at s, by Newton's method within bounds.
inline double slant(double s) {
  const double target = std::fabs(s);
  if (!(target > 0.0) || !std::isfinite(s)) return s;
  double low = 0.0, high = std::fmin(target / least_slope, (target + 0.5) / (1.0 + least_slope));
  double alpha = std::fmin(high, target < 0.5 ? std::cbrt(target) : target + 0.5);
  for (int i = 0; i < 200; ++i) {
    const Moved at = moved(alpha);
    (at.value > target ? high : low) = alpha;
    double next = alpha - (at.value - target) / at.first;
    if (!(next > low && next < high)) next = 0.5 * (low + high);
    const bool done = std::fabs(next - alpha) <= 1e-15 * alpha;
    alpha = next;
    if (done) break;
  }
  return std::copysign(alpha, s);
}
inline Lanes slant(Lanes s) {
  bool same = true;
  for (int i = 1; i < lane_count; ++i) same = same && s[i] == s[0];
  return same ? numeric::broadcast(slant(s[0])) : numeric::lane_by_lane(s, [](double x) { return slant(x); });
}
template <int R>
numeric::SecondOrder<R> slant(const numeric::SecondOrder<R>& s) {
  const Lanes alpha = slant(s.value);
  Lanes first, second;
  for (int i = 0; i < lane_count; ++i) {
    const Moved at = moved(alpha[i]);
    first[i] = 1.0 / at.first;
    second[i] = -at.second * first[i] * first[i] * first[i];
  }
  return compose(s, alpha, first, second);
}

/// sigma / omega and b. The first is 1 / sqrt(1 - b^2), 1 - b^2 = (1 + (1 - 2 / pi) alpha^2) / (1 + alpha^2).
template <class T>
struct Shape {
  T log_ratio, mean;
};
template <class T>
Shape<T> shape_of(const T& alpha) {
  const T square = alpha * alpha, log_one = log1p(square);
  return {0.5 * (log1p((1.0 - root_two_over_pi * root_two_over_pi) * square) - log_one),
          root_two_over_pi * (alpha * exp(-0.5 * log_one))};
}

inline Lanes blend(LaneBits mask, Lanes yes, Lanes no) { return numeric::select(mask, yes, no); }
template <int R>
numeric::SecondOrder<R> blend(LaneBits mask, const numeric::SecondOrder<R>& yes, numeric::SecondOrder<R> no) {
  no.value = blend(mask, yes.value, no.value);
  for (std::size_t a = 0; a < no.slope.size(); ++a) no.slope[a] = blend(mask, yes.slope[a], no.slope[a]);
  for (std::size_t a = 0; a < no.second.size(); ++a) no.second[a] = blend(mask, yes.second[a], no.second[a]);
  return no;
}
template <int D, class T>
Taylor<D, T> blend(LaneBits mask, const Taylor<D, T>& yes, Taylor<D, T> no) {
  for (int k = 0; k <= D; ++k) no.c[k] = blend(mask, yes.c[k], no.c[k]);
  return no;
}

/// log Phi(x). Far to the left its higher derivatives are differences of large numbers, unless they are those of the
/// continued fraction, Phi(-a) = phi(a) / (a + 1 / (a + 2 / (a + 3 / ...))).
template <class T>
T log_cdf(const T& x) {
  constexpr double far_below = -3.0;
  constexpr int levels = 50;  // right to 1e-16
  const LaneBits far = numeric::constant_term(x) < far_below;
  bool any = false;
  for (int i = 0; i < lane_count; ++i) any = any || far[i] != 0;
  const T near = numeric::log_normal_cdf(x);
  if (!any) return near;
  T fraction = -x;
  for (int k = levels; k >= 1; --k) fraction = numeric::constant_like(x, numeric::broadcast(k)) / fraction - x;
  return blend(far, -0.5 * (x * x) - log(fraction) + -0.91893853320467274178, near);
}

template <class Link>
struct Density {
  static constexpr int n_phi = 2;
  template <class T>
  static T value(const T& eta, const Row& row, const T* phi) {
    const T alpha = of_parameter(phi[1], [](const auto& own) { return slant(own); });
    const T log_ratio = of_parameter(alpha, [](const auto& own) { return shape_of(own).log_ratio; });
    const T mean = of_parameter(alpha, [](const auto& own) { return shape_of(own).mean; });
    const T precision = of_parameter(log_ratio - phi[0], [](const auto& own) { return exp(own); });  // 1 / omega
    const T residual = -Link::mean(eta) + row.response;
    const Lanes root = numeric::lane_by_lane(row.weight, [](double w) { return std::sqrt(w); });
    const T z = root * (residual * precision) + mean;
    return -0.5 * (z * z) + log_cdf(alpha * z) + log_ratio - phi[0] + log_two;
  }
};

template <class Link>
class SkewNormal final : public Family {
 public:
  std::string name() const override { return "skew_normal"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::numbers; }
  std::vector<Parameter> parameters() const override {
    Parameter sigma{"sigma", "standard deviation"}, alpha{"alpha", "slant; with 0 the gaussian family"};
    alpha.scale = Scale::slant;
    alpha.level = 0.1 * least_slope;
    alpha.part = "alpha";
    return {sigma, alpha};
  }
  std::string reference() const override {
    return "Azzalini (1985), Scandinavian Journal of Statistics 12, 171-178; by its mean and standard deviation";
  }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = -0.91893853320467274178 + (prior_weight == 1.0 ? 0.0 : 0.5 * std::log(prior_weight));
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    series_derivatives<Density<Link>>(order, rows, out);
  }

  void expected_information(const Rows& rows, double* out) const override {
    const Phi& phi = rows.data.phi;
    double last = std::numeric_limits<double>::quiet_NaN(), own = 0.0;
    for (int i = 0; i < rows.n; ++i) {
      if (!(phi.at(1, i) == last)) own = standard_information(slant(last = phi.at(1, i)));
      const double slope = Link::mean(series_kernel::variable<1>(numeric::broadcast(rows.eta[i]), Lanes{})).c[1][0];
      out[i] = own * std::exp(-2.0 * phi.at(0, i)) * rows.data.weight[i] * slope * slope;
    }
  }

  double start_eta(const Observation& row) const override { return Link::of_mean(row.response); }
  /// A maximum on either side of no slant, where data are hardly skewed; one that is hardly skewed and one that is, of
  /// either sign, beside each other; and beside a large slant the likelihood can be higher where it has no bound.
  std::vector<std::vector<double>> other_places(const double* phi) const override {
    constexpr double surely = 3.0, least = 0.3, large = 1.0, enormous = 1e3, ordinary = 0.7, plain = 5.0;
    const double size = std::fabs(phi[1]);
    std::vector<std::vector<double>> found;
    if (size < surely)
      for (const double other : {-std::fmax(size, least), plain, -plain})
        found.push_back({phi[0], std::copysign(1.0, phi[1]) * other});
    if (size > large && size < enormous)
      for (const double other : {least, -ordinary, enormous})
        found.push_back({phi[0], std::copysign(1.0, phi[1]) * other});
    // A search that ran off may have done so from where it began.
    if (size >= enormous) found.insert(found.end(), {{phi[0], ordinary}, {phi[0], -ordinary}});
    return found;
  }
  std::string trouble(const double* phi) const override {
    constexpr double enormous = 1e3;
    if (!(std::fabs(phi[1]) > enormous)) return "";
    return "the slant grows without bound: few responses, or ones that look cut off on one side, are likeliest as half "
           "of a normal distribution, which has no maximum inside; give a slant (alpha=), or use the gaussian family";
  }
  void start_phi(double mean_square, double* phi) const override {
    phi[0] = mean_square > 0.0 ? 0.5 * std::log(mean_square) : 0.0;
    phi[1] = 0.5;  // at zero itself the slope is zero
  }

  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double, const double*) const override { return 1.0; }
  double dispersion(const double* phi) const override { return std::exp(2.0 * phi[0]); }
  /// From the mean at which the density of y is largest: its mode is not its mean.
  double unit_deviance(double y, double mu, const double* phi) const override {
    const double alpha = slant(phi[1]), per_omega = std::exp(ratio(alpha).log_ratio - phi[0]);
    const double z = (y - mu) * per_omega + ratio(alpha).mean, top = mode(alpha);
    const double more = numeric::normal_tail(alpha * top).log_cdf - numeric::normal_tail(alpha * z).log_cdf;
    return 2.0 * (0.5 * (z - top) * (z + top) + more) * dispersion(phi);
  }

 private:
  struct Ratio {
    double log_ratio, mean;
  };
  static Ratio ratio(double alpha) {
    const auto shape = shape_of(numeric::broadcast(alpha));
    return {shape.log_ratio[0], shape.mean[0]};
  }

  /// Of the standard density: where the inverse Mills ratio m has alpha m(alpha z) = z, by Newton's method.
  static double mode(double alpha) {
    double z = 0.0;
    for (int i = 0; i < 100; ++i) {
      const double m = numeric::normal_tail(alpha * z).inverse_mills;
      const double step = (alpha * m - z) / (1.0 + alpha * alpha * m * (alpha * z + m));
      z += step;
      if (!(std::fabs(step) > 1e-15 * (1.0 + std::fabs(z)))) break;
    }
    return z;
  }

  /// sigma^2 E(-d2) = (1 + alpha^2 E(m(alpha z)^2)) sigma^2 / omega^2. The mean is the integral of
  /// 2 phi(z) phi(alpha z)^2 / Phi(alpha z), a normal density of z over Phi: by the trapezoidal rule, which is exact
  /// here.
  static double standard_information(double alpha) {
    const double square = alpha * alpha, width = 1.0 / std::sqrt(1.0 + 2.0 * square);
    constexpr int reach = 96;
    constexpr double step = 1.0 / 6.0, twice_per_two_pi_to_three_halves = 0.12698727186848193941;
    double sum = 0.0;
    for (int k = -reach; k <= reach; ++k) {
      const double x = step * k;
      sum += std::exp(-0.5 * x * x - numeric::normal_tail(alpha * width * x).log_cdf);
    }
    const double mean = twice_per_two_pi_to_three_halves * width * step * sum;
    return (1.0 + square * mean) * std::exp(2.0 * ratio(alpha).log_ratio);
  }
};

template <class Link>
Entry entry() {
  return {"skew_normal", Link::name, []() -> std::unique_ptr<Family> { return std::make_unique<SkewNormal<Link>>(); }};
}

}  // namespace

std::vector<Entry> skew_normal_entries() { return {entry<link::Identity>()}; }

}  // namespace multilevel::family
