// Sums over the counts of a Conway-Maxwell-Poisson distribution: p(j) is proportional to exp(j log lambda - nu log j!).
// Lanes side by side, in step.
#pragma once

#include "numeric/lanes.hpp"
#include "numeric/log_gamma.hpp"

namespace multilevel::family::conway_maxwell {

using numeric::any;
using numeric::broadcast;
using numeric::LaneBits;
using numeric::Lanes;

inline constexpr int most_moment = 5;  // of the count: the mean to fourth order
inline constexpr int most_terms = 30000;
inline constexpr double negligible = 1e-24;

/// Where terms are counted from, m, and what is taken out of log j!: with r = log max(m, 1) the exponent of a term is
/// (j - m) slope - nu g(j), slope = log lambda - nu r, g(j) = log j! - log m! - (j - m) r.
struct Origin {
  Lanes m, log_m;
};
inline Origin origin(Lanes mu) {
  Origin at;
  at.m = numeric::lane_by_lane(mu, [](double x) { return std::floor(x); });
  at.log_m = numeric::log(numeric::select(at.m > 1.0, at.m, broadcast(1.0)));
  return at;
}

/// g of any count.
inline Lanes log_factorial_left(Lanes y, const Origin& at) {
  const Lanes from = at.m + 1.0, more = y - at.m;
  return (y + 0.5) * numeric::log1p(more / from) + more * (numeric::log(from) - at.log_m) - more +
         numeric::stirling_remainder(y + 1.0) - numeric::stirling_remainder(from);
}

/// visit(j - m, term, g) for all terms that count; false if they are too many. The term of m is one; none is much
/// larger where m is close to the mean.
template <class Visit>
inline bool for_terms(const Origin& at, Lanes slope, Lanes nu, Visit visit) {
  const Lanes zero = broadcast(0.0);
  Lanes total = broadcast(1.0);
  visit(zero, broadcast(1.0), zero);
  Lanes g = zero, k = zero;
  for (int i = 0;; ++i) {
    k += 1.0;
    g += numeric::log(at.m + k) - at.log_m;
    const Lanes term = numeric::exp(k * slope - nu * g);
    total += term;
    visit(k, term, g);
    if (!any(term > negligible * total)) break;
    if (i > most_terms) return false;
  }
  g = k = zero;
  for (int i = 0; i <= most_terms; ++i) {
    const LaneBits there = at.m + k > 0.0;
    if (!any(there)) return true;
    g -= numeric::select(there, numeric::log(at.m + k) - at.log_m, zero);
    k -= 1.0;
    const Lanes term = numeric::select(there, numeric::exp(k * slope - nu * g), zero);
    total += term;
    visit(k, term, g);
    if (!any(term > negligible * total)) return true;
  }
  return false;
}

struct Moments {
  Lanes slope, log_total;
  Lanes g;                       ///< mean of g
  Lanes of[most_moment + 1][3];  ///< [a][b]: mean of (j - mu)^a (g - its mean)^b
};

/// At the lambda that gives the mean mu, or one whose logarithm is as far from that one's as about `close`. NaN where
/// that takes too many terms.
inline Moments moments(Lanes mu, Lanes nu, const Origin& at, double close) {
  // lambda is between mu^nu and mu (1 + mu)^(nu - 1).
  const Lanes log_mu = numeric::log(mu), one_end = nu * log_mu;
  const Lanes other_end = log_mu + (nu - 1.0) * numeric::log1p(mu);
  Lanes low = numeric::select(one_end < other_end, one_end, other_end) - nu * at.log_m - 1e-12 * (1.0 + nu);
  Lanes high = numeric::select(one_end < other_end, other_end, one_end) - nu * at.log_m + 1e-12 * (1.0 + nu);
  const Lanes first = mu + 0.5 - 0.5 / nu, moved = first + (nu * nu - 1.0) / (24.0 * nu * nu * first);
  Lanes slope = nu * (numeric::log(numeric::select(moved > 0.5, moved, broadcast(1.0))) - at.log_m);
  slope = numeric::select((mu >= 1.0) & (moved > 0.5 * mu) & (slope > low) & (slope < high), slope,
                          other_end - nu * at.log_m);
  bool enough = true;
  LaneBits done{};
  for (int i = 0; i < 200; ++i) {
    Lanes s0 = broadcast(0.0), s1 = s0, s2 = s0;
    const Lanes shift = at.m - mu;
    enough = for_terms(at, slope, nu, [&](Lanes k, Lanes term, Lanes) {
      const Lanes d = k + shift;
      s0 += term;
      s1 += term * d;
      s2 += term * d * d;
    });
    if (!enough) break;
    const Lanes excess = s1 / s0, variance = s2 / s0 - excess * excess;
    low = numeric::select(excess < 0.0, slope, low);
    high = numeric::select(excess > 0.0, slope, high);
    Lanes next = slope - numeric::log1p(excess / mu) * (mu + excess) / variance;
    next = numeric::select((next >= low) & (next <= high), next, 0.5 * (low + high));
    const Lanes step = numeric::select(done, broadcast(0.0), next - slope);
    slope = slope + step;
    done = done | (step * step * (1.0 + variance) <= close);  // the next would be about its square
    if (!any(~done)) break;
  }
  Moments found{};
  const Lanes shift = at.m - mu;
  Lanes others = broadcast(0.0);  // beside the term of m, which is one
  if (enough)
    for_terms(at, slope, nu, [&](Lanes k, Lanes term, Lanes g) {
      const Lanes d = k + shift;
      Lanes power = term;
      others += numeric::select(k == 0.0, broadcast(0.0), term);
      for (auto& of : found.of) {
        of[0] += power;
        of[1] += power * g;
        of[2] += power * g * g;
        power *= d;
      }
    });
  else
    found.of[0][0] = broadcast(std::numeric_limits<double>::quiet_NaN());
  const Lanes total = found.of[0][0];
  found.slope = slope;
  found.log_total = numeric::log1p(others);
  for (auto& of : found.of)
    for (auto& own : of) own = own / total;
  found.g = found.of[0][1];
  for (auto& of : found.of) {
    of[2] = of[2] - 2.0 * found.g * of[1] + found.g * found.g * of[0];
    of[1] = of[1] - found.g * of[0];
  }
  return found;
}

/// The moments of the last rows, kept: a family without its zeros asks for the same rows twice, at their counts and at
/// zero, a block at a time.
class Kept {
 public:
  static const Moments& of(Lanes mu, Lanes nu, const Origin& at, double close) {
    thread_local Kept own;
    for (const auto& entry : own.entries_)
      if (!any((entry.mu != mu) | (entry.nu != nu))) return entry.moments;
    Entry& entry = own.entries_[own.next_];
    own.next_ = (own.next_ + 1) % n_entries;
    entry = {mu, nu, moments(mu, nu, at, close)};
    return entry.moments;
  }

 private:
  static constexpr std::size_t n_entries = 64 / numeric::lane_count;
  struct Entry {
    Lanes mu = broadcast(std::numeric_limits<double>::quiet_NaN()), nu = mu;
    Moments moments{};
  };
  Entry entries_[n_entries];
  std::size_t next_ = 0;
};

}  // namespace multilevel::family::conway_maxwell
