// Ordered categories: P(y <= k) = F(tau_k - eta), with F the distribution function that the link names. A row of
// category k has the density F(upper - eta) - F(lower - eta), phi = (upper, lower) = (tau_k, tau_(k-1)); those of the
// last and of the first category are infinite, and then exactly out of the density. The prior weight multiplies the log
// density.
#include <cmath>

#include "family/link.hpp"
#include "family/registry.hpp"
#include "family/series_kernel.hpp"

namespace multilevel::family {

namespace {

using numeric::lane_by_lane;
using series_kernel::factorial;

constexpr double beyond = 1e300;  // in place of an infinite end where F is the logistic function
constexpr double log_overflow = 700.0;
constexpr double log_sqrt_2pi = 0.91893853320467274178;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// With a = upper - eta, b = lower - eta and t what is added to both: the log density as a series in t, and its
/// derivatives by a and b.
template <int D>
struct Derivatives {
  Taylor<D, Lanes> value, upper, lower;                    ///< the last two are right to degree D - 1
  Taylor<D, Lanes> upper_upper, upper_lower, lower_lower;  ///< right to degree D - 2
};

/// F(a) - F(b) = F(a) (1 - F(b)) (1 - e^(b - a)): nothing cancels, and eta is in the first two factors alone.
struct Logistic {
  static constexpr bool mirrored = false;

  /// 1 / (1 + e^-x), its complement and their product.
  struct Parts {
    explicit Parts(Lanes x) {
      const Lanes e = numeric::exp(-numeric::abs(x));
      const numeric::LogisticParts own = numeric::logistic_parts(e);
      const auto positive = x >= 0.0;
      const Lanes larger = own.reciprocal, smaller = e * larger;
      mean = numeric::select(positive, larger, smaller);
      rest = numeric::select(positive, smaller, larger);
      variance = larger * smaller;
      softplus = own.softplus;
    }
    Lanes mean, rest, variance, softplus;
  };

  template <int D>
  static Derivatives<D> at(Lanes a, Lanes b) {
    a = numeric::select(a == infinity, numeric::broadcast(beyond), a);
    b = numeric::select(b == -infinity, numeric::broadcast(-beyond), b);
    const Parts upper(a), lower(b);
    const Lanes width = a - b;
    // 1 - e^-width: (e^-w - 1) w / log(e^-w) has lost no digits to the difference, which rounding made twice.
    const Lanes e = numeric::exp(-width);
    const Lanes exact = numeric::select(e == 1.0, width, (e - 1.0) * width / numeric::log(e));
    const Lanes part = numeric::select(width > 40.0, 1.0 - e, exact);
    const Lanes r = e / part, bend = r * (1.0 + r);
    Derivatives<D> d;
    d.value.c[0] = 0.5 * (a - numeric::abs(a)) - upper.softplus - 0.5 * (b + numeric::abs(b)) - lower.softplus +
                   numeric::log(part);
    d.upper.c[0] = upper.rest + r;
    d.lower.c[0] = -lower.mean - r;
    d.value.c[1] = upper.rest - lower.mean;
    d.upper.c[1] = -upper.variance;
    d.lower.c[1] = -lower.variance;
    d.value.c[2] = 0.5 * (d.upper.c[1] + d.lower.c[1]);
    d.upper_upper.c[0] = d.upper.c[1] - bend;
    d.lower_lower.c[0] = d.lower.c[1] - bend;
    d.upper_lower.c[0] = bend;
    if constexpr (D == 4) {
      const Lanes third_a = d.upper.c[1] * (upper.rest - upper.mean),
                  third_b = d.lower.c[1] * (lower.rest - lower.mean);
      const Lanes fourth_a = d.upper.c[1] * (1.0 - 6.0 * upper.variance),
                  fourth_b = d.lower.c[1] * (1.0 - 6.0 * lower.variance);
      d.upper.c[2] = 0.5 * third_a;
      d.lower.c[2] = 0.5 * third_b;
      d.upper.c[3] = fourth_a * (1.0 / 6.0);
      d.lower.c[3] = fourth_b * (1.0 / 6.0);
      d.value.c[3] = (third_a + third_b) * (1.0 / 6.0);
      d.value.c[4] = (fourth_a + fourth_b) * (1.0 / 24.0);
      d.upper_upper.c[1] = third_a;
      d.lower_lower.c[1] = third_b;
      d.upper_upper.c[2] = 0.5 * fourth_a;
      d.lower_lower.c[2] = 0.5 * fourth_b;
      d.upper_lower.c[1] = d.upper_lower.c[2] = numeric::broadcast(0.0);
    }
    return d;
  }
};

/// The logarithm of P = F(a) - F(b), and the density of F at either end over P.
struct Interval {
  double log_p, upper, lower;
};

/// Any other distribution, from those three and the density around either end, f(x + t) / f(x).
template <class Distribution>
struct FromDensity {
  static constexpr bool mirrored = Distribution::mirrored;

  /// f(x + t) / P as a series.
  template <int D>
  static Taylor<D, Lanes> end(Lanes x, Lanes share) {
    Taylor<D, Lanes> series = Distribution::template around<D>(x);
    for (auto& c : series.c) c = numeric::select(share == 0.0, numeric::broadcast(0.0), share * c);
    return series;
  }
  template <int D>
  static Taylor<D, Lanes> slope(const Taylor<D, Lanes>& x) {
    Taylor<D, Lanes> r{};
    for (int k = 0; k < D; ++k) r.c[k] = static_cast<double>(k + 1) * x.c[k + 1];
    return r;
  }

  template <int D>
  static Derivatives<D> at(Lanes a, Lanes b) {
    Lanes log_p, upper_share, lower_share;
    for (int i = 0; i < lane_count; ++i) {
      const Interval own = a[i] > b[i] ? Distribution::interval(a[i], b[i]) : Interval{NAN, NAN, NAN};
      log_p[i] = own.log_p;
      upper_share[i] = own.upper;
      lower_share[i] = own.lower;
    }
    const Taylor<D, Lanes> upper = end<D>(a, upper_share), lower = end<D>(b, lower_share);
    Taylor<D, Lanes> relative;  // P(t) / P(0)
    relative.c[0] = numeric::broadcast(1.0);
    for (int k = 1; k <= D; ++k) relative.c[k] = (upper.c[k - 1] - lower.c[k - 1]) * (1.0 / k);
    Derivatives<D> d;
    d.value = log(relative);
    d.value.c[0] = log_p;
    d.upper = upper / relative;
    const Taylor<D, Lanes> from_below = lower / relative;
    d.lower = -from_below;
    d.upper_upper = slope(upper) / relative - d.upper * d.upper;
    d.lower_lower = -(slope(lower) / relative) - from_below * from_below;
    d.upper_lower = d.upper * from_below;
    return d;
  }
};

struct Normal {
  static constexpr bool mirrored = false;

  static Interval interval(double a, double b) {
    if (b == -infinity || a == infinity) {
      const numeric::NormalTail tail = numeric::normal_tail(b == -infinity ? a : -b);
      return b == -infinity ? Interval{tail.log_cdf, tail.inverse_mills, 0.0}
                            : Interval{tail.log_cdf, 0.0, tail.inverse_mills};
    }
    const bool flip = a > -b;  // the lower tail keeps its digits
    const double x = flip ? -b : a, y = flip ? -a : b, width = x - y, middle = 0.5 * (x + y);
    const double log_p = width * (std::fabs(middle) + 0.5) < 1.0
                             ? narrow(middle, width)
                             : wide(numeric::normal_tail(x).log_cdf, numeric::normal_tail(y).log_cdf);
    return {log_p, std::exp(-0.5 * a * a - log_sqrt_2pi - log_p), std::exp(-0.5 * b * b - log_sqrt_2pi - log_p)};
  }
  static double wide(double log_x, double log_y) {
    const double ratio = log_x - log_y;
    return log_x + (ratio < 0.6931471805599453 ? std::log(-std::expm1(-ratio)) : std::log1p(-std::exp(-ratio)));
  }
  /// The integral of the density itself, by the Gauss-Legendre rule of ten points.
  static double narrow(double middle, double width) {
    constexpr double node[5] = {0.14887433898163121, 0.43339539412924719, 0.67940956829902441, 0.86506336668898451,
                                0.97390652851717172};
    constexpr double weight[5] = {0.29552422471475287, 0.26926671930999636, 0.21908636251598204, 0.14945134915058059,
                                  0.06667134430868814};
    double sum = 0.0;
    for (int k = 0; k < 5; ++k) {
      const double s = 0.5 * width * node[k];
      sum += weight[k] * std::exp(-0.5 * s * s) * std::cosh(middle * s);
    }
    return -0.5 * middle * middle - log_sqrt_2pi + std::log(width) + std::log(sum);
  }
  /// exp(-x t - t^2 / 2)
  template <int D>
  static Taylor<D, Lanes> around(Lanes x) {
    Taylor<D, Lanes> r;
    r.c[0] = numeric::broadcast(1.0);
    for (int k = 1; k <= D; ++k) {
      r.c[k] = -x * r.c[k - 1];
      if (k > 1) r.c[k] -= r.c[k - 2];
      r.c[k] *= 1.0 / k;
    }
    return r;
  }
};

/// F(x) = 1 - exp(-e^x)
struct SmallestExtreme {
  static constexpr bool mirrored = false;

  static Interval interval(double a, double b) {
    const double below = b == -infinity ? 0.0 : std::exp(b);
    if (a == infinity) return {-below, 0.0, below};
    // e^a - e^b, and its logarithm where it is too small for a number
    const double mass = b == -infinity ? std::exp(a) : below * std::expm1(a - b);
    const double log_mass =
        b == -infinity ? a : b + (a - b > 1.0 ? a - b + std::log1p(-std::exp(b - a)) : std::log(std::expm1(a - b)));
    if (!(mass < log_overflow)) return {-below, 0.0, below};
    const double log_part = mass < 1e-300 ? log_mass : std::log(-std::expm1(-mass));
    const double upper = mass < 1e-300 ? std::exp(a - log_mass) : std::exp(a) / std::expm1(mass);
    const double lower = b == -infinity ? 0.0 : mass < 1e-300 ? std::exp(b - log_mass) : below / -std::expm1(-mass);
    return {-below + log_part, upper, lower};
  }
  /// exp(t - e^x (e^t - 1))
  template <int D>
  static Taylor<D, Lanes> around(Lanes x) {
    Taylor<D, Lanes> t{};
    t.c[1] = numeric::broadcast(1.0);
    return exp(t + -(numeric::exp(x) * expm1(t)));
  }
};

/// F(x) = exp(-e^-x): that one, seen from above.
struct LargestExtreme : SmallestExtreme {
  static constexpr bool mirrored = true;
};

struct Cauchy {
  static constexpr bool mirrored = false;

  static Interval interval(double a, double b) {
    constexpr double pi = 3.14159265358979323846;
    const double angle = a == infinity    ? (b == -infinity ? pi : std::atan2(1.0, b))
                         : b == -infinity ? std::atan2(1.0, -a)
                                          : std::atan2(a - b, 1.0 + a * b);
    return {std::log(angle / pi), 1.0 / (angle * (1.0 + a * a)), 1.0 / (angle * (1.0 + b * b))};
  }
  /// (1 + x^2) / (1 + (x + t)^2)
  template <int D>
  static Taylor<D, Lanes> around(Lanes x) {
    Taylor<D, Lanes> below{};
    below.c[0] = numeric::broadcast(1.0);
    below.c[1] = 2.0 * x / (1.0 + x * x);
    below.c[2] = 1.0 / (1.0 + x * x);
    return numeric::constant_like(below, numeric::broadcast(1.0)) / below;
  }
};

/// A mirrored distribution's derivatives are those of its mirror image at (-lower, -upper, -eta).
template <class Source, int D, bool ByPhi>
void evaluate(const Rows& rows, const RowDerivatives& out) {
  using namespace series_kernel;
  constexpr bool mirrored = Source::mirrored;
  constexpr double by_eta = mirrored ? 1.0 : -1.0, by_end = mirrored ? -1.0 : 1.0;
  constexpr int upper = mirrored ? 1 : 0, lower = 1 - upper;
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block<2>(rows, i);
    const Lanes above = b.phi[0] - b.eta, below = b.phi[1] - b.eta;
    const Derivatives<D> d = mirrored ? Source::template at<D>(-below, -above) : Source::template at<D>(above, below);
    put(out.value, i, b.n, only_where(above > below, weighted(b.weight, d.value.c[0])));
    double sign = 1.0;
    for (int a = 0; a <= D; ++a, sign *= by_eta) {
      const double scale = sign * factorial[a];
      auto give = [&](double* to, double factor, Lanes x) {
        if (to) put(to, i, b.n, weighted(b.weight, factor * scale * x));
      };
      if (a > 0) give(out.eta[a - 1], 1.0, d.value.c[a]);
      if constexpr (ByPhi) {
        if (a < D) give(out.phi[upper][a], by_end, d.upper.c[a]);
        if (a < D) give(out.phi[lower][a], by_end, d.lower.c[a]);
        if (a > D - 2) continue;
        give(out.phi_phi[phi_pair(upper, upper)][a], 1.0, d.upper_upper.c[a]);
        give(out.phi_phi[phi_pair(lower, lower)][a], 1.0, d.lower_lower.c[a]);
        give(out.phi_phi[phi_pair(1, 0)][a], 1.0, d.upper_lower.c[a]);
      }
    }
  }
}

struct Loglog {
  static constexpr const char* name = "loglog";
  static double inverse(double eta) { return std::exp(-std::exp(-eta)); }
  static double of_mean(double mu) { return -std::log(-std::log(mu)); }
};

template <class Link, class Source>
class Cumulative final : public Family {
 public:
  std::string name() const override { return "cumulative"; }
  std::string link() const override { return Link::name; }
  Support support() const override { return Support::categories; }
  std::string reference() const override { return "McCullagh (1980), JRSS B 42, 109-142"; }
  std::vector<Parameter> parameters() const override {
    Parameter upper{"upper", "the threshold above a row's category"}, lower{"lower", "the threshold below it"};
    for (auto* own : {&upper, &lower}) {
      own->scale = Scale::plain;
      own->part = "thresholds";
    }
    return {upper, lower};
  }

  Observation prepare(double y, double, double prior_weight, double* constant) const override {
    *constant = 0.0;
    return {y, 1.0, prior_weight};
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    if (order == Order::full)
      evaluate<Source, 4, true>(rows, out);
    else if (order == Order::node)
      evaluate<Source, 2, true>(rows, out);
    else
      evaluate<Source, 2, false>(rows, out);
  }

  /// The observed one where it is positive, else the squared score.
  void expected_information(const Rows& rows, double* out) const override {
    std::vector<double> arrays(static_cast<std::size_t>(2 * rows.n));
    RowDerivatives at;
    at.value = out;
    at.eta[0] = arrays.data();
    at.eta[1] = arrays.data() + rows.n;
    evaluate<Source, 2, false>(rows, at);
    for (int j = 0; j < rows.n; ++j) {
      const double information = -at.eta[1][j], score = at.eta[0][j], weight = rows.data.weight[j];
      out[j] = information > 0.0 || weight == 0.0 ? information : score * score / weight;
    }
  }

  double start_eta(const Observation&) const override { return 0.0; }

  // The tails of the Cauchy distribution are convex.
  bool log_concave() const override { return !std::is_same_v<Link, link::Cauchit>; }
  /// In the middle of its category, of the Cauchy distribution, which is symmetric; others do not ask.
  double supremum(const Observation& row, const double* phi) const override {
    if (std::isinf(phi[0]) || std::isinf(phi[1])) return 0.0;
    return row.weight * std::log(0.63661977236758134308 * std::atan(0.5 * (phi[0] - phi[1])));
  }

  // Of a mean nothing is said: categories are no numbers. F stands in its place.
  double mean(double eta) const override { return Link::inverse(eta); }
  double link_of_mean(double mu) const override { return Link::of_mean(mu); }
  double variance(double, const double*) const override { return 1.0; }
  double unit_deviance(double, double, const double*) const override {
    return std::numeric_limits<double>::quiet_NaN();
  }
};

template <class Link, class Source>
Entry entry() {
  return {"cumulative", Link::name,
          []() -> std::unique_ptr<Family> { return std::make_unique<Cumulative<Link, Source>>(); }};
}

}  // namespace

std::vector<Entry> cumulative_entries() {
  return {entry<link::Logit, Logistic>(), entry<link::Probit, FromDensity<Normal>>(),
          entry<link::Cloglog, FromDensity<SmallestExtreme>>(), entry<Loglog, FromDensity<LargestExtreme>>(),
          entry<link::Cauchit, FromDensity<Cauchy>>()};
}

}  // namespace multilevel::family
