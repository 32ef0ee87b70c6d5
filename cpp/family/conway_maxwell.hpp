// Sums over the counts of a Conway-Maxwell-Poisson distribution: p(j) is proportional to exp(j log lambda - nu log j!).
// Lanes side by side, in step.
#pragma once

#include "family/conway_maxwell_powers.hpp"

namespace multilevel::family::conway_maxwell {

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
  constexpr double n_small = SmallCounts::n;
  if (!any((y >= n_small) | (from > n_small) | (y < 0.0))) {
    const SmallCounts& small = SmallCounts::all();
    const Indices j = indices(y), m = indices(at.m);
    return gather(small.log_factorial.data(), j) - gather(small.log_factorial.data(), m) - more * at.log_m +
           (gather(small.log_factorial_low.data(), j) - gather(small.log_factorial_low.data(), m));
  }
  return (y + 0.5) * numeric::log1p(more / from) + more * (numeric::log(from) - at.log_m) - more +
         numeric::stirling_remainder(y + 1.0) - numeric::stirling_remainder(from);
}

/// What a term is of the one before it, but for lambda, of lanes that need not share nu: computed once for all lambda.
class Ratios {
 public:
  struct Step {
    Lanes log, power;  ///< of (the count / m), and that to the power -nu upwards, nu downwards
  };

  /// This thread's, for lanes of these origins.
  static Ratios& from(const Origin& at, Lanes nu) {
    thread_local Ratios kept;
    kept.at_ = at;
    kept.nu_ = nu;
    kept.up_.clear();
    kept.down_.clear();
    return kept;
  }

  /// From m + i to the next count.
  const Step& up(std::size_t i) {
    while (up_.size() <= i) {
      const Lanes log = numeric::log(at_.m + (static_cast<double>(up_.size()) + 1.0)) - at_.log_m;
      up_.push_back({log, numeric::exp(-nu_ * log)});
    }
    return up_[i];
  }
  /// From m - i to the count before.
  const Step& down(std::size_t i) {
    while (down_.size() <= i) {
      const Lanes j = at_.m - static_cast<double>(down_.size()), zero = broadcast(0.0);
      const LaneBits there = j > 0.0;
      const Lanes log = numeric::select(there, numeric::log(j) - at_.log_m, zero);
      down_.push_back({log, numeric::exp(nu_ * log)});
    }
    return down_[i];
  }

 private:
  Origin at_{};
  Lanes nu_{};
  std::vector<Step> up_, down_;
};

/// Where terms are of so many counts, and change so little from one to the next, that sums take a few of them.
inline LaneBits is_wide(Lanes mu, Lanes nu) {
  constexpr double wide = 256.0;  // about the spread
  return (mu >= wide) & (mu >= wide * wide * nu);
}

/// The terms at one lambda. for_each visits (j - m, term, g) of all that count; false if they are too many. The term of
/// m is one; none is much larger where m is close to the mean. g is there where it is asked for.
struct Terms {
  const Origin& at;
  Lanes slope, nu;
  Powers* powers;  ///< where all lanes share nu, and powers do not leave the numbers
  Ratios* ratios;  ///< otherwise

  template <bool with_g, class Visit>
  bool for_each(Visit visit) const {
    visit(broadcast(0.0), broadcast(1.0), broadcast(0.0));
    return powers ? by_powers<with_g>(visit) : by_ratios(visit);
  }

 private:
  /// m^nu, where log m is what it is rounded to.
  Lanes power_of_origin() const {
    const Indices m = indices(numeric::select(at.m > 1.0, at.m, broadcast(1.0)));
    const Lanes rounding = (at.log_m - gather(powers->log(), m)) - gather(powers->log_low(), m);
    return gather(powers->up(), m) * (1.0 + nu * rounding);
  }

  /// Each term from the one before.
  template <bool with_g, class Visit>
  bool by_powers(Visit visit) const {
    constexpr int stride = 4;  // as many terms, then a look at how large they are
    const Indices m = indices(at.m);
    const std::ptrdiff_t largest = *std::max_element(m.begin(), m.end());
    powers->reach(largest + 1);
    const Lanes lambda = numeric::exp(slope) * power_of_origin();
    Lanes total = broadcast(1.0), term = total, k = broadcast(0.0), g = k;
    for (std::ptrdiff_t i = 0;;) {
      powers->reach(largest + i + stride);
      const double *down = powers->down(), *log = powers->log();
      for (const std::ptrdiff_t end = i + stride; i < end;) {
        ++i;
        k += 1.0;
        term *= lambda * gather(down, m, i);
        total += term;
        if constexpr (with_g) g += gather(log, m, i) - at.log_m;
        visit(k, term, g);
      }
      if (!any(term > negligible * total)) break;
      if (i > most_terms) return false;
    }
    const Lanes inverse = 1.0 / lambda;
    const double *up = powers->up(), *log = powers->log();
    Indices j = m;
    term = broadcast(1.0);
    g = k = broadcast(0.0);
    for (std::ptrdiff_t i = 0; i < largest; ++i) {
      term *= inverse * gather(up, j);  // zero from j = 0 on
      total += term;
      if constexpr (with_g) g -= numeric::select(at.m + k > 0.0, gather(log, j) - at.log_m, broadcast(0.0));
      k -= 1.0;
      visit(k, term, g);
      if (i % stride == 0 && !any(term > negligible * total)) return true;
      if (i > most_terms) return false;
      for (auto& own : j) own = std::max<std::ptrdiff_t>(own - 1, 0);
    }
    return true;
  }

  template <class Visit>
  bool by_ratios(Visit visit) const {
    const Lanes lambda = numeric::exp(slope), inverse = numeric::exp(-slope), zero = broadcast(0.0);
    Lanes total = broadcast(1.0), term = total, g = zero, k = zero;
    for (std::size_t i = 0;; ++i) {
      const Ratios::Step& step = ratios->up(i);
      k += 1.0;
      g += step.log;
      term *= lambda * step.power;
      total += term;
      visit(k, term, g);
      if (!any(term > negligible * total)) break;
      if (i > most_terms) return false;
    }
    term = broadcast(1.0);
    g = k = zero;
    for (std::size_t i = 0; i <= most_terms; ++i) {
      const LaneBits there = at.m + k > 0.0;
      if (!any(there)) return true;
      const Ratios::Step& step = ratios->down(i);
      k -= 1.0;
      g -= step.log;
      term = numeric::select(there, term * (inverse * step.power), zero);
      total += term;
      visit(k, term, g);
      if (!any(term > negligible * total)) return true;
    }
    return false;
  }
};

/// The slope at which the mean is mu.
struct Root {
  Lanes mu, log_mu, nu;
  const Origin& at;
  Powers* powers;
  Powers* grid;  ///< of log lambda
  Ratios* ratios;

  Lanes low, high;  ///< lambda is between mu^nu and mu (1 + mu)^(nu - 1)

  Root(Lanes mean, Lanes own_nu, const Origin& origin, bool wide = false)
      : mu(mean), log_mu(numeric::log(mean)), nu(own_nu), at(origin) {
    const Lanes one_end = nu * log_mu, other_end = log_mu + (nu - 1.0) * numeric::log1p(mu);
    const LaneBits order = one_end < other_end;
    low = numeric::select(order, one_end, other_end) - 1e-12 * (1.0 + nu);
    high = numeric::select(order, other_end, one_end) + 1e-12 * (1.0 + nu);
    constexpr double most = Powers::most_log_power;
    const bool shared = !any(nu != nu[0]);
    const bool fine = shared && !any((at.m >= Powers::most_count) | ~(low > -most) | ~(high < most)) &&
                      nu[0] * std::log(2.0 * Powers::most_count) < most;
    powers = fine ? &Powers::of(nu[0]) : nullptr;
    grid = shared && wide ? &Powers::of(nu[0]) : powers;
    ratios = fine ? nullptr : &Ratios::from(at, nu);
    low -= nu * at.log_m;
    high -= nu * at.log_m;
  }

  /// By the mean of the asymptotic series, or the end of the interval that is right for a small mean.
  Lanes rough() const {
    const Lanes first = mu + 0.5 - 0.5 / nu, moved = first + (nu * nu - 1.0) / (24.0 * nu * nu * first);
    const Lanes slope = nu * (numeric::log(numeric::select(moved > 0.5, moved, broadcast(1.0))) - at.log_m);
    return numeric::select((mu >= 1.0) & (moved > 0.5 * mu) & (slope > low) & (slope < high), slope,
                           log_mu + (nu - 1.0) * numeric::log1p(mu) - nu * at.log_m);
  }

  /// From the grid of its nu, if there is one.
  Lanes start() const;

  Terms terms(Lanes slope) const { return {at, slope, nu, powers, ratios}; }
  Lanes from(Lanes slope) const {
    return from_terms(slope, [&](Lanes own) { return terms(own); });
  }

  /// Steps of third order on log mean, until one is small in units of the spread; terms_at(slope) has for_each.
  template <class TermsAt>
  Lanes from_terms(Lanes slope, const TermsAt& terms_at) const {
    constexpr double close = 1e-8;  // the next would be about its third power

    Lanes lower = low, upper = high;
    LaneBits done{};
    for (int i = 0; i < 200; ++i) {
      Lanes s0 = broadcast(0.0), s1 = s0, s2 = s0, s3 = s0;
      const Lanes shift = at.m - mu;
      const bool enough = terms_at(slope).template for_each<false>([&](Lanes k, Lanes term, Lanes) {
        const Lanes d = k + shift, first = term * d, second = first * d;
        s0 += term;
        s1 += first;
        s2 += second;
        s3 += second * d;
      });
      if (!enough) return broadcast(std::numeric_limits<double>::quiet_NaN());
      const Lanes excess = s1 / s0, square = s2 / s0, variance = square - excess * excess;
      const Lanes third = s3 / s0 - excess * (3.0 * square - 2.0 * excess * excess);
      lower = numeric::select(excess < 0.0, slope, lower);
      upper = numeric::select(excess > 0.0, slope, upper);
      const Lanes newton = -numeric::log1p(excess / mu) * (mu + excess) / variance;
      const Lanes bend = 1.0 + 0.5 * newton * (third / variance - variance / (mu + excess));
      Lanes next = slope + numeric::select(bend > 0.5, newton / bend, newton);
      next = numeric::select((next >= lower) & (next <= upper), next, 0.5 * (lower + upper));
      const Lanes step = numeric::select(done, broadcast(0.0), next - slope);
      slope = slope + step;
      done = done | (step * step * (1.0 + variance) <= close);
      if (!any(~done)) break;
    }
    return slope;
  }
};

/// Of the count and, with_g, of g, at a lambda that gives a mean very close to mu.
template <int most, bool with_g>
struct Moments {
  static constexpr int n_g = with_g ? 3 : 1;
  Lanes slope, log_total;
  Lanes g;                  ///< mean of g
  Lanes of[most + 1][n_g];  ///< [a][b]: mean of (j - mu)^a (g - its mean)^b

  Lanes variance() const { return of[2][0] - of[1][0] * of[1][0]; }
  Lanes third_cumulant() const {
    const Lanes excess = of[1][0];
    return of[3][0] - excess * (3.0 * of[2][0] - 2.0 * excess * excess);
  }
  /// Where log lambda is so far off, in units of the spread, that not even its square is lost in rounding.
  LaneBits off() const {
    constexpr double close = 1e-16;
    const Lanes excess = of[1][0], own = variance();
    return excess * excess * (1.0 + own) > close * own * own;
  }
};

/// NaN where that takes too many terms.
template <int most, bool with_g, class Terms>
inline Moments<most, with_g> sums_of(const Root& root, Lanes slope, const Terms& terms) {
  Moments<most, with_g> found{};
  found.slope = slope;
  const Lanes shift = root.at.m - root.mu;
  Lanes others = broadcast(0.0);  // beside the term of m, which is one
  const bool enough = terms.template for_each<with_g>([&](Lanes k, Lanes term, Lanes g) {
    const Lanes d = k + shift;
    Lanes power = term;
    others += numeric::select(k == 0.0, broadcast(0.0), term);
    for (auto& of : found.of) {
      of[0] += power;
      if constexpr (with_g) {
        of[1] += power * g;
        of[2] += power * g * g;
      }
      power *= d;
    }
  });
  if (!enough) found.of[0][0] = broadcast(std::numeric_limits<double>::quiet_NaN());
  const Lanes inverse = 1.0 / found.of[0][0];
  found.log_total = numeric::log1p(others);
  for (auto& of : found.of)
    for (auto& own : of) own *= inverse;
  if constexpr (with_g) {
    found.g = found.of[0][1];
    for (auto& of : found.of) {
      of[2] = of[2] - 2.0 * found.g * of[1] + found.g * found.g * of[0];
      of[1] = of[1] - found.g * of[0];
    }
  }
  return found;
}

/// log lambda with two derivatives by log mu. Out of line, so that all callers fill a grid with the same bits.
std::array<Lanes, 3> solve_nodes(Lanes nu, Lanes log_mu);

inline Lanes Root::start() const {
  if (!grid) return rough();
  const Lanes near = grid->log_lambda(log_mu, solve_nodes) - nu * at.log_m;
  const LaneBits there = (near >= low) & (near <= high);
  return any(~there) ? numeric::select(there, near, rough()) : near;
}

template <int most, bool with_g>
inline Moments<most, with_g> narrow_moments(Lanes mu, Lanes nu, const Origin& at) {
  const Root root(mu, nu, at);
  const auto sums = [&](Lanes slope) { return sums_of<most, with_g>(root, slope, root.terms(slope)); };
  auto found = sums(root.start());
  if (any(found.off())) found = sums(root.from(found.slope));
  return found;
}

/// Where some lanes are wide, or all. Out of line: it would take the room that the compiler has for inlining the rest.
template <int most, bool with_g>
Moments<most, with_g> wide_moments(Lanes mu, Lanes nu);

template <int most, bool with_g>
inline Moments<most, with_g> moments(Lanes mu, Lanes nu, const Origin& at) {
  return any(is_wide(mu, nu)) ? wide_moments<most, with_g>(mu, nu) : narrow_moments<most, with_g>(mu, nu, at);
}

/// The moments of the last rows, kept: a family without its zeros asks for the same rows twice, at their counts and at
/// zero, a block at a time.
template <int most, bool with_g>
class Kept {
 public:
  static const Moments<most, with_g>& of(Lanes mu, Lanes nu, const Origin& at) {
    thread_local Kept own;
    for (const auto& entry : own.entries_)
      if (!any((entry.mu != mu) | (entry.nu != nu))) return entry.moments;
    Entry& entry = own.entries_[own.next_];
    own.next_ = (own.next_ + 1) % n_entries;
    entry = {mu, nu, conway_maxwell::moments<most, with_g>(mu, nu, at)};
    return entry.moments;
  }

 private:
  static constexpr std::size_t n_entries = 64 / numeric::lane_count;
  struct Entry {
    Lanes mu = broadcast(std::numeric_limits<double>::quiet_NaN()), nu = mu;
    Moments<most, with_g> moments{};
  };
  Entry entries_[n_entries];
  std::size_t next_ = 0;
};

}  // namespace multilevel::family::conway_maxwell
