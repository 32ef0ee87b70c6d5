// What the sums over counts have out of line: their grid, and sums over tens of thousands of terms from a few hundred.
#include "family/conway_maxwell.hpp"

#include <algorithm>
#include <cmath>

#include "numeric/sum_rule.hpp"

namespace multilevel::family::conway_maxwell {

namespace {

using numeric::SumRule;

/// Like Terms; a term is what stands for several counts, whose number need not be whole.
struct WideTerms {
  const Origin& at;
  Lanes slope, nu;

  template <bool with_g, class Visit>
  bool for_each(Visit visit) const {
    visit(broadcast(0.0), broadcast(1.0), broadcast(0.0));
    return by_blocks(visit, 1.0) && by_blocks(visit, -1.0);
  }

 private:
  /// From m upwards or downwards, each lane by blocks of its own length: twice that is left below, at most, a fall of
  /// exp(-8), and four times the spread. Rules of 16 nodes have all digits of such a block, and of its moments.
  template <class Visit>
  bool by_blocks(Visit visit, double way) const {
    constexpr double fall = 8.0, spreads = 4.0;
    constexpr int most_blocks = 1000;
    const Lanes next = at.m + 1.0, log_next = numeric::log(next) - at.log_m;
    const Lanes remainder = numeric::stirling_remainder(next);
    Lanes done = broadcast(0.0), total = broadcast(1.0);  // counts beside m; terms
    LaneBits open = at.m == at.m;
    for (int block = 0; block < most_blocks; ++block) {
      const Lanes first = at.m + way * (done + 1.0);
      open = open & (first >= 0.0);
      const Lanes from = numeric::select(open, first, broadcast(0.0));
      const Lanes steep = numeric::abs(slope - nu * (numeric::log(from + 0.5) - at.log_m));
      const Lanes flat = (from + 1.0) / nu;
      const SumRule* rule[lane_count];
      Lanes length;
      for (int i = 0; i < lane_count; ++i) {
        const double room = way > 0.0 ? from[i] : 0.5 * (from[i] + 1.0);
        const double most =
            std::fmin(std::fmin(room, spreads * std::sqrt(flat[i])), fall / std::fmax(steep[i], 1e-300));
        int k = SumRule::least;
        if (most >= 32.0) k = std::min(std::ilogb(most), static_cast<int>(SumRule::most));
        rule[i] = &SumRule::of(k);
        length[i] = std::ldexp(1.0, k);
      }
      Lanes largest = broadcast(0.0);
      for (std::size_t node = 0; node < SumRule::size; ++node) {
        Lanes place, weight;
        for (int i = 0; i < lane_count; ++i) {
          place[i] = rule[i]->node[node];
          weight[i] = rule[i]->weight[node];
        }
        Lanes j = from + way * place;
        const LaneBits there = open & (j >= 0.0);
        j = numeric::select(there, j, broadcast(0.0));
        // Of the logarithm the last digit is lost, times nu j: no more than is lost of the exponent.
        const Lanes k = j - at.m, log_ratio = numeric::log((j + 1.0) / next);
        const Lanes g =
            (j + 0.5) * log_ratio + k * (log_next - 1.0) + (numeric::stirling_remainder(j + 1.0) - remainder);
        const Lanes own = numeric::exp(k * slope - nu * g);
        const Lanes term = numeric::select(there, own * weight, broadcast(0.0));
        largest = numeric::select(there & (own > largest), own, largest);
        total += term;
        visit(k, term, g);
      }
      open = open & (largest > negligible * total);
      done += length;
      if (!any(open)) return true;
    }
    return false;
  }
};

/// Of lanes that are all wide.
Lanes from_wide(const Root& root, Lanes slope) {
  return root.from_terms(slope, [&](Lanes own) { return WideTerms{root.at, own, root.nu}; });
}

template <int most, bool with_g>
Moments<most, with_g> all_wide(Lanes mu, Lanes nu, const Origin& at) {
  const Root root(mu, nu, at, true);
  const auto sums = [&](Lanes slope) { return sums_of<most, with_g>(root, slope, WideTerms{at, slope, nu}); };
  auto found = sums(root.start());
  if (any(found.off())) found = sums(from_wide(root, found.slope));
  return found;
}

}  // namespace

std::array<Lanes, 3> solve_nodes(Lanes nu, Lanes log_mu) {
  const Lanes mu = numeric::exp(log_mu);
  const Origin at = origin(mu);
  const bool wide = !any(~is_wide(mu, nu));
  const Root node(mu, nu, at, wide);
  const Lanes root = wide ? from_wide(node, node.rough()) : node.from(node.rough());
  const auto found =
      wide ? sums_of<3, false>(node, root, WideTerms{at, root, nu}) : sums_of<3, false>(node, root, node.terms(root));
  const Lanes variance = found.variance(), slope = mu / variance;
  return {found.slope + nu * at.log_m, slope, slope * (1.0 - slope * found.third_cumulant() / variance)};
}

template <int most, bool with_g>
Moments<most, with_g> wide_moments(Lanes mu, Lanes nu) {
  const LaneBits wide = is_wide(mu, nu);
  if (!any(~wide)) return all_wide<most, with_g>(mu, nu, origin(mu));
  // In the lanes of the others stands the first of these.
  const auto of = [&](Lanes x, LaneBits which) {
    int i = 0;
    while (!which[i]) ++i;
    return numeric::select(which, x, broadcast(x[i]));
  };
  const Lanes wide_mu = of(mu, wide), narrow_mu = of(mu, ~wide);
  auto found = all_wide<most, with_g>(wide_mu, of(nu, wide), origin(wide_mu));
  const auto other = narrow_moments<most, with_g>(narrow_mu, of(nu, ~wide), origin(narrow_mu));
  const auto choose = [&](Lanes& own, const Lanes& instead) { own = numeric::select(wide, own, instead); };
  choose(found.slope, other.slope);
  choose(found.log_total, other.log_total);
  choose(found.g, other.g);
  for (int a = 0; a <= most; ++a)
    for (int b = 0; b < Moments<most, with_g>::n_g; ++b) choose(found.of[a][b], other.of[a][b]);
  return found;
}

template Moments<4, false> wide_moments(Lanes, Lanes);
template Moments<4, true> wide_moments(Lanes, Lanes);
template Moments<6, true> wide_moments(Lanes, Lanes);

}  // namespace multilevel::family::conway_maxwell
