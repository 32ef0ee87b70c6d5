// Ordered categories: P(y <= k) = F(tau_k - eta), with F the distribution function that the link names. A row of
// category k has the density F(upper - eta) - F(lower - eta), phi = (upper, lower) = (tau_k, tau_(k-1)); those of the
// last and of the first category are infinite, and then exactly out of the density. With a scale there is a third
// parameter zeta, and both differences are divided by exp(zeta).
#include <optional>

#include "family/ordered_distributions.hpp"
#include "family/ordered_family.hpp"
#include "family/registry.hpp"

namespace multilevel::family {

namespace {

using namespace ordered;
using series_kernel::factorial;

/// x + t, and zero where x is infinite: what it is multiplied by vanishes there.
template <int D>
Taylor<D, Lanes> moving(Lanes x) {
  Taylor<D, Lanes> r{};
  const auto finite = numeric::abs(x) < infinity;
  const Lanes zero = numeric::broadcast(0.0);
  r.c[0] = numeric::select(finite, x, zero);
  r.c[1] = numeric::select(finite, numeric::broadcast(1.0), zero);
  return r;
}

/// With both ends multiplied by e^-zeta: derivatives by zeta, which moves the ends by the negative of themselves.
template <int D>
struct ScaleDerivatives {
  ScaleDerivatives(Lanes a, Lanes b, const Derivatives<D>& d) {
    const Taylor<D, Lanes> A = moving<D>(a), B = moving<D>(b);
    const Taylor<D, Lanes> by_a = A * d.upper, by_b = B * d.lower;
    scale = -(by_a + by_b);
    scale_upper = -(d.upper + A * d.upper_upper + B * d.upper_lower);
    scale_lower = -(d.lower + A * d.upper_lower + B * d.lower_lower);
    scale_scale = by_a + by_b + A * A * d.upper_upper + 2.0 * (A * B * d.upper_lower) + B * B * d.lower_lower;
  }
  Taylor<D, Lanes> scale, scale_upper, scale_lower, scale_scale;
};

/// What a distribution makes of the width of a category apart from where eta is, if it does.
template <class Source>
struct GapOf {
  static constexpr bool apart = false;
  struct type {};
};
template <class Source>
  requires requires { typename Source::Gap; }
struct GapOf<Source> {
  static constexpr bool apart = true;
  using type = typename Source::Gap;
};

/// A mirrored distribution's derivatives are those of its mirror image at (-lower, -upper, -eta).
template <class Source, int D, bool ByPhi, bool Scaled>
void evaluate(const Rows& rows, const RowDerivatives& out) {
  using namespace series_kernel;
  constexpr bool mirrored = Source::mirrored;
  constexpr double by_eta = mirrored ? 1.0 : -1.0, by_end = mirrored ? -1.0 : 1.0;
  constexpr int upper = mirrored ? 1 : 0, lower = 1 - upper, scale = 2;
  std::optional<typename GapOf<Source>::type> gap;
  for (int i = 0; i < rows.n; i += lane_count) {
    const Block b = block<Scaled ? 3 : 2>(rows, i);
    Lanes above = b.phi[0] - b.eta, below = b.phi[1] - b.eta, unit = numeric::broadcast(1.0);
    if constexpr (Scaled) {
      unit = numeric::exp(-b.phi[2]);
      above *= unit;
      below *= unit;
    }
    const Lanes first = mirrored ? -below : above, second = mirrored ? -above : below;
    Derivatives<D> d;
    if constexpr (GapOf<Source>::apart) {
      // Nodes of a row follow one another.
      const Lanes width = unit * (b.phi[0] - b.phi[1]);
      if (!gap || !gap->is_of(width)) gap.emplace(width);
      if constexpr (ByPhi)
        d = Source::template at<D>(first, second, *gap);
      else
        d.value = Source::template value<D>(first, second, *gap);
    } else if constexpr (ByPhi)
      d = Source::template at<D>(first, second);
    else
      d.value = Source::template value<D>(first, second);
    put(out.value, i, b.n, only_where(above > below, weighted(b.weight, d.value.c[0])));
    Lanes sign = numeric::broadcast(1.0);
    auto give = [&](double* to, Lanes factor, Lanes x) {
      if (to) put(to, i, b.n, weighted(b.weight, factor * x));
    };
    std::optional<ScaleDerivatives<D>> of_scale;
    if constexpr (Scaled && ByPhi) of_scale.emplace(first, second, d);
    for (int a = 0; a <= D; ++a, sign *= by_eta * unit) {
      const Lanes here = factorial[a] * sign, end = by_end * unit * here;
      if (a > 0) give(out.eta[a - 1], here, d.value.c[a]);
      if constexpr (ByPhi) {
        if (a < D) give(out.phi[upper][a], end, d.upper.c[a]);
        if (a < D) give(out.phi[lower][a], end, d.lower.c[a]);
        if constexpr (Scaled)
          if (a < D) give(out.phi[scale][a], here, of_scale->scale.c[a]);
        if (a > D - 2) continue;
        const Lanes both = unit * unit * here;
        give(out.phi_phi[phi_pair(upper, upper)][a], both, d.upper_upper.c[a]);
        give(out.phi_phi[phi_pair(lower, lower)][a], both, d.lower_lower.c[a]);
        give(out.phi_phi[phi_pair(1, 0)][a], both, d.upper_lower.c[a]);
        if constexpr (Scaled) {
          give(out.phi_phi[phi_pair(scale, upper)][a], end, of_scale->scale_upper.c[a]);
          give(out.phi_phi[phi_pair(scale, lower)][a], end, of_scale->scale_lower.c[a]);
          give(out.phi_phi[phi_pair(scale, scale)][a], here, of_scale->scale_scale.c[a]);
        }
      }
    }
  }
}

template <class Link, class Source, bool Scaled>
class Cumulative final : public OrderedFamily<Link> {
 public:
  std::string name() const override { return "cumulative"; }
  std::string reference() const override { return "McCullagh (1980), JRSS B 42, 109-142"; }
  std::vector<Parameter> parameters() const override {
    std::vector<Parameter> all = {Parameter{"upper", "the threshold above a row's category"},
                                  Parameter{"lower", "the threshold below it"}};
    for (auto& own : all) {
      own.scale = Scale::plain;
      own.part = "thresholds";
    }
    if (Scaled) {
      Parameter scale{"scale", "what the distances of eta from the thresholds are divided by"};
      scale.part = "scale";
      all.push_back(scale);
    }
    return all;
  }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    if (order == Order::full)
      evaluate<Source, 4, true, Scaled>(rows, out);
    else if (order == Order::node)
      evaluate<Source, 2, true, Scaled>(rows, out);
    else
      evaluate<Source, 2, false, Scaled>(rows, out);
  }

  // The tails of the Cauchy distribution are convex.
  bool log_concave() const override { return !std::is_same_v<Link, link::Cauchit>; }
  /// In the middle of its category, of the Cauchy distribution, which is symmetric; others do not ask.
  double supremum(const Observation& row, const double* phi) const override {
    if (std::isinf(phi[0]) || std::isinf(phi[1])) return 0.0;
    const double width = (phi[0] - phi[1]) * (Scaled ? std::exp(-phi[2]) : 1.0);
    return row.weight * std::log(0.63661977236758134308 * std::atan(0.5 * width));
  }

  void suprema(int n, const Observations& data, double* out) const override {
    for (int i = 0; i < n; i += lane_count) {
      const series_kernel::Block b =
          series_kernel::block<Scaled ? 3 : 2>({n, data.response, data}, i);  // no eta is looked at
      Lanes width = b.phi[0] - b.phi[1];
      if constexpr (Scaled) width *= numeric::exp(-b.phi[2]);
      const Lanes inside = numeric::log(0.63661977236758134308 * numeric::angle(0.5 * width, numeric::broadcast(1.0)));
      const auto finite = width < infinity;
      const Lanes bound = numeric::select(finite, inside, numeric::broadcast(0.0));
      series_kernel::put(out, i, b.n, weighted(b.weight, bound));
    }
  }

  /// Of narrow categories those of the density itself, whose logarithm is -log(1 + eta^2); of wide ones less.
  bool bounds(int n, const Observations& data, const Family::Bounds& out) const override {
    if (!std::is_same_v<Link, link::Cauchit>) return false;
    for (int j = 0; j < n; ++j) {
      const double width = data.phi.at(0, j) - data.phi.at(1, j), weight = data.weight[j];
      const double unit = Scaled ? std::exp(-data.phi.at(2, j)) : 1.0;
      const bool open = std::isinf(width), wide = width * unit >= 2.0;
      out.value[j] = open ? 0.0 : weight * std::log(std::fmin(1.0, 0.31830988618379067154 * width * unit));
      out.second[j] = weight * unit * unit * (open ? link::Cauchit::most_convex : 0.25);
      out.third[j] = weight * unit * unit * unit * (open ? link::Cauchit::most_bent : wide ? 1.29 : 2.91421357);
    }
    return true;
  }

  std::unique_ptr<Family> with_scale() const override { return std::make_unique<Cumulative<Link, Source, true>>(); }
};

template <class Link, class Source>
Entry entry() {
  return {"cumulative", Link::name,
          []() -> std::unique_ptr<Family> { return std::make_unique<Cumulative<Link, Source, false>>(); }};
}

}  // namespace

std::vector<Entry> cumulative_entries() {
  return {entry<link::Logit, Logistic>(), entry<link::Probit, FromDensity<Normal>>(),
          entry<link::Cloglog, SmallestExtreme>(), entry<Loglog, LargestExtreme>(),
          entry<link::Cauchit, FromDensity<Cauchy>>()};
}

}  // namespace multilevel::family
