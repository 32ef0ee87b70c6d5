// What holds of a row whose response is not zero, where zeros do not count: of truncated families and hurdles.
#pragma once

#include <cmath>
#include <string>

#include "family/modified/modified.hpp"

namespace multilevel::family {

/// How closely an upper bound is looked for: for a search that needs to be safe, for what is shown.
inline constexpr double roughly = 0.01, exactly = 1e-12;

/// The least upper bound over eta of l(y) - log(1 - exp(l(0))), found to `enough`, and twice that; `at` gives it with
/// two derivatives.
template <class At>
double nonzero_supremum(const Family& base, double y, double second, At at, double enough) {
  constexpr int most_steps = 25;
  constexpr double small_mean = 1e-6;
  double constant;
  base.prepare(y, second, 1.0, &constant);
  // No probability is above one. The smallest response is the likeliest where the mean vanishes.
  if (y == 1.0) {
    const auto point = at(base.link_of_mean(small_mean));
    return point.d1 <= 0.0 ? std::fmin(point.value + small_mean, -constant) : -constant;
  }
  double eta = base.link_of_mean(base.support() == Support::trials ? y / second : y);
  auto point = at(eta);
  for (int k = 0; k < most_steps && std::isfinite(point.value) && std::isfinite(eta); ++k) {
    const double promised = 0.5 * point.d1 * point.d1 / std::fabs(point.d2);
    if (point.d1 == 0.0 || (point.d2 < 0.0 && promised < enough))
      return std::fmin(point.value + 2.0 * enough, -constant);
    double step = point.d1 / std::fabs(point.d2);
    auto next = at(eta + step);
    for (int halving = 0; halving < most_steps && !(next.value >= point.value); ++halving)
      next = at(eta + (step *= 0.5));
    if (!(next.value >= point.value)) break;
    eta += step;
    point = next;
  }
  return -constant;
}

/// Of counts with a size: where it vanishes and their mean with it, one parameter is left of the two.
inline std::string nonzero_trouble(const Family& base, const double* phi) {
  constexpr double hardly_any = -10.0;
  if (!(base.log_size(Phi::constant(phi, base.n_phi()), 0) < hardly_any)) return base.trouble(phi);
  return "the size goes to zero, and the intercept to minus infinity with it: the counts above zero are likeliest as a "
         "logarithmic distribution, where mean and size are one parameter and neither has a value; differences of "
         "linear predictors and predictions hold, and a given size (size=1, the geometric family) has a maximum";
}

/// Which way eta may go: the mean may vanish where the response is the smallest that is left, and a proportion of one
/// stays what it is.
inline int nonzero_recession(const Family& base, const Observation& row) {
  Observation zero = row;
  zero.response = 0.0;
  const bool down = row.response == 1.0 && base.recession(zero) == -1, up = base.recession(row) == 1;
  return down && up ? either_way : down ? -1 : up ? 1 : 0;
}

}  // namespace multilevel::family
