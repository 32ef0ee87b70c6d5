// Distribution functions F of ordered categories, one for each link: log(F(a) - F(b)) with its derivatives, on lanes of
// rows. An end may be infinite, and is then exactly out of the difference.
#pragma once

#include <cmath>

#include "family/link.hpp"
#include "family/series_kernel.hpp"
#include "numeric/angle.hpp"

namespace multilevel::family::ordered {

inline constexpr double beyond = 1e300;  // in place of an infinite end where F is the logistic function
inline constexpr double log_sqrt_2pi = 0.91893853320467274178;
inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// With a = upper - eta, b = lower - eta and t what is added to both: the log density as a series in t, and its
/// derivatives by a and b.
template <int D>
struct Derivatives {
  Taylor<D, Lanes> value, upper, lower;                    ///< the last two are right to degree D - 1
  Taylor<D, Lanes> upper_upper, upper_lower, lower_lower;  ///< right to degree D - 2
};

/// F(a) - F(b) = F(a) (1 - F(b)) (1 - e^(b - a)): nothing cancels, and eta is in the first two factors alone. But for
/// a power of e its inverse is 1 + x, x a sum of positive numbers: the log density needs one logarithm.
struct Logistic {
  static constexpr bool mirrored = false;

  /// 1 / (1 + e^-x), its complement and their product.
  struct Parts {
    explicit Parts(Lanes x) : e(numeric::exp(-numeric::abs(x))) {
      const auto positive = x >= 0.0;
      const Lanes larger = 1.0 / (1.0 + e), smaller = e * larger;
      mean = numeric::select(positive, larger, smaller);
      rest = numeric::select(positive, smaller, larger);
      variance = larger * smaller;
    }
    Lanes e;  ///< e^-|x|
    Lanes mean, rest, variance;
  };

  /// What the width of a category alone makes, the same wherever eta is.
  struct Gap {
    explicit Gap(Lanes own) : width(own) {
      const Lanes finite = numeric::select(width == infinity, numeric::broadcast(beyond), width);
      // 1 - e^-width: (e^-w - 1) w / log(e^-w) has lost no digits to the difference, which rounding made twice.
      e = numeric::exp(-finite);
      const Lanes exact = numeric::select(e == 1.0, finite, (e - 1.0) * finite / numeric::log(e));
      part = numeric::select(finite > 40.0, 1.0 - e, exact);
      ratio = e / part;
      bend = ratio * (1.0 + ratio);
    }
    bool is_of(Lanes other) const {
      bool same = true;
      for (int i = 0; i < lane_count; ++i) same &= width[i] == other[i];
      return same;
    }
    Lanes width;
    Lanes e, part;  ///< e^-width and 1 - e^-width
    Lanes ratio, bend;
  };

  /// The log density alone.
  template <int D>
  static Taylor<D, Lanes> value(Lanes a, Lanes b, const Gap& gap) {
    return at<D>(a, b, gap).value;
  }
  template <int D>
  static Taylor<D, Lanes> value(Lanes a, Lanes b) {
    return at<D>(a, b, Gap(a - b)).value;
  }
  template <int D>
  static Derivatives<D> at(Lanes a, Lanes b, const Gap& gap) {
    a = numeric::select(a == infinity, numeric::broadcast(beyond), a);
    b = numeric::select(b == -infinity, numeric::broadcast(-beyond), b);
    const Parts upper(a), lower(b);
    const Lanes r = gap.ratio, bend = gap.bend;
    const Lanes x = (upper.e + lower.e + upper.e * lower.e + gap.e) / gap.part;
    Derivatives<D> d{};
    d.value.c[0] = 0.5 * (a - numeric::abs(a)) - 0.5 * (b + numeric::abs(b)) - numeric::log1p(x);
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
struct Intervals {
  Lanes log_p, upper, lower;
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

  static Intervals intervals(Lanes a, Lanes b) {
    if constexpr (requires { Distribution::intervals(a, b); }) {
      return Distribution::intervals(a, b);
    } else {
      Intervals all;
      for (int i = 0; i < lane_count; ++i) {
        const Interval own = a[i] > b[i] ? Distribution::interval(a[i], b[i]) : Interval{NAN, NAN, NAN};
        all.log_p[i] = own.log_p;
        all.upper[i] = own.upper;
        all.lower[i] = own.lower;
      }
      return all;
    }
  }

  /// The log density alone.
  template <int D>
  static Taylor<D, Lanes> value(Lanes a, Lanes b) {
    if constexpr (D == 2 && requires { Distribution::slope(a); }) {
      const Intervals own = intervals(a, b);
      const Lanes zero = numeric::broadcast(0.0), d1 = own.upper - own.lower;
      const Lanes bend = numeric::select(own.upper == 0.0, zero, own.upper * Distribution::slope(a)) -
                         numeric::select(own.lower == 0.0, zero, own.lower * Distribution::slope(b));
      return {{own.log_p, d1, 0.5 * (bend - d1 * d1)}};
    } else {
      return at<D>(a, b).value;
    }
  }

  template <int D>
  static Derivatives<D> at(Lanes a, Lanes b) {
    const auto [log_p, upper_share, lower_share] = intervals(a, b);
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

/// F(x) = 1 - exp(-e^x). With A = e^a, B = e^b and S = A - B, log P = -B + G, G = log(1 - e^-S): rates add up, and none
/// is squared. The derivative of G by what is added to a and b is g = S / (e^S - 1), and g' = g c with c = 1 - S - g.
struct SmallestExtreme {
  static constexpr bool mirrored = false;

  template <int D>
  static Taylor<D, Lanes> value(Lanes a, Lanes b) {
    return at<D>(a, b).value;
  }
  template <int D>
  static Derivatives<D> at(Lanes a, Lanes b) {
    Lanes log_s, share_a, share_b, rate;  // log S, A / S, B / S, B
    for (int i = 0; i < lane_count; ++i) {
      const bool first = b[i] == -infinity, last = a[i] == infinity;
      const double width = a[i] - b[i];
      const double own =
          first ? a[i] : b[i] + (width > 1.0 ? width + std::log1p(-std::exp(-width)) : std::log(std::expm1(width)));
      rate[i] = first ? 0.0 : std::exp(b[i]);
      // Beyond it, at the latest where S is infinite, nothing is left of G.
      const bool all = last || own > most_log_s;
      log_s[i] = all ? most_log_s : own;
      share_a[i] = all ? 0.0 : first ? 1.0 : std::exp(a[i] - own);
      share_b[i] = all || first ? 0.0 : std::exp(b[i] - own);
      if (!(a[i] > b[i])) log_s[i] = NAN;
    }
    const Lanes s = numeric::exp(log_s);
    const numeric::CloglogParts own = numeric::cloglog_parts(log_s, s);
    Taylor<D, Lanes> g, c, slope, below, e;
    e.c[0] = numeric::broadcast(1.0);
    g.c[0] = own.b;
    c.c[0] = own.c;
    slope.c[0] = own.b * own.c;
    for (int k = 1; k <= D; ++k) {
      e.c[k] = e.c[k - 1] * (1.0 / k);
      g.c[k] = slope.c[k - 1] * (1.0 / k);
      c.c[k] = -(s * e.c[k] + g.c[k]);
      slope.c[k] = g.c[0] * c.c[k];
      for (int j = 1; j <= k; ++j) slope.c[k] += g.c[j] * c.c[k - j];
    }
    for (int k = 0; k <= D; ++k) below.c[k] = rate * e.c[k];
    Derivatives<D> d;
    d.value.c[0] = own.log_mean - rate;
    for (int k = 1; k <= D; ++k) d.value.c[k] = g.c[k - 1] * (1.0 / k) - below.c[k];
    const Taylor<D, Lanes> from_below = below + share_b * g;
    d.upper = share_a * g;
    d.lower = -from_below;
    d.upper_upper = d.upper * (c - from_below);
    d.upper_lower = d.upper * from_below;
    d.lower_lower = -(from_below + share_b * (g * from_below));
    return d;
  }

 private:
  static constexpr double most_log_s = 6.6;  // e^-S is below 1e-300
};

/// F(x) = exp(-e^-x): that one, seen from above.
struct LargestExtreme : SmallestExtreme {
  static constexpr bool mirrored = true;
};

struct Cauchy {
  static constexpr bool mirrored = false;

  static Intervals intervals(Lanes a, Lanes b) {
    constexpr double pi = 3.14159265358979323846;
    const auto first = b == -infinity, last = a == infinity;
    const Lanes one = numeric::broadcast(1.0), zero = numeric::broadcast(0.0);
    const Lanes width = numeric::select(first | last, one, a - b);
    const Lanes along = numeric::select(last, b, numeric::select(first, -a, 1.0 + a * b));
    Lanes angle = numeric::angle(width, along);
    angle = numeric::select(first & last, numeric::broadcast(pi), angle);
    return {numeric::log(angle * (1.0 / pi)), numeric::select(last, zero, 1.0 / (angle * (1.0 + a * a))),
            numeric::select(first, zero, 1.0 / (angle * (1.0 + b * b)))};
  }
  /// f'(x) / f(x)
  static Lanes slope(Lanes x) { return -2.0 * x / (1.0 + x * x); }
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

struct Loglog {
  static constexpr const char* name = "loglog";
  static double inverse(double eta) { return std::exp(-std::exp(-eta)); }
  static double of_mean(double mu) { return -std::log(-std::log(mu)); }
};

}  // namespace multilevel::family::ordered
