// The conditional mode of one cluster. Densities with several predictors are rarely concave in all of them: the largest
// of the modes that searches from several places find is taken, and the places do not depend on what was evaluated
// before.
#include <cmath>
#include <limits>

#include "likelihood/several_predictors/likelihood.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double mode_tolerance = 1e-10;  // Newton decrement after which the last step is taken unseen
constexpr double same_mode = 1e-8;        // squared distance, relative to 1 + v'v
constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

}  // namespace

bool SeveralLikelihood::find_mode(double* modes, bool stay, Sums& sums) {
  Eigen::Map<Eigen::VectorXd> found(modes, q_);
  Vector v = found;
  if (stay) {
    const double f = rows_.climb(v, mode_tolerance, sums.newton_steps);
    found = v;
    return std::isfinite(f);
  }
  v.setZero();
  double best = rows_.climb(v, mode_tolerance, sums.newton_steps);
  Vector best_v = v;
  bool elsewhere = false;
  for (int a = 0; a < q_; ++a)
    for (const Vector& start : rows_.starts_beside(best_v, a)) {
      v = start;
      const double f = rows_.climb(v, mode_tolerance, sums.newton_steps, std::isfinite(best) ? &best_v : nullptr);
      if (!std::isfinite(f) || (v - best_v).squaredNorm() <= same_mode * (1.0 + best_v.squaredNorm())) continue;
      elsewhere |= std::isfinite(best);
      if (!(f > best)) continue;
      best = f;
      best_v = v;
    }
  sums.several_modes += elsewhere;
  found = best_v;
  return std::isfinite(best);
}

}  // namespace multilevel::likelihood
