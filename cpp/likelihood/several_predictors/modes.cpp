// The conditional mode of one cluster. Densities with several predictors are rarely concave in all of them: the largest
// of the modes that searches from several places find is taken, and the places do not depend on what was evaluated
// before.
#include <cmath>
#include <limits>

#include "likelihood/mode_course.hpp"
#include "likelihood/several_predictors/likelihood.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double same_mode = 1e-8;    // squared distance, relative to 1 + v'v
constexpr int most_with_corners = 4;  // random effects
constexpr double to_corner = 1.2;
constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

}  // namespace

bool SeveralLikelihood::find_mode(double* modes, bool stay, Sums& sums) {
  Eigen::Map<Eigen::VectorXd> found(modes, q_);
  Vector v = found;
  const double tolerance = tolerance_of(lambda_.squaredNorm());
  if (stay) {
    const double f = rows_.climb(v, tolerance, sums.newton_steps);
    found = v;
    return std::isfinite(f);
  }
  v.setZero();
  double best = rows_.climb(v, tolerance, sums.newton_steps);
  Vector best_v = v;
  bool elsewhere = false;
  auto search_from = [&](const Vector& start) {
    v = start;
    const double f = rows_.climb(v, tolerance, sums.newton_steps, std::isfinite(best) ? &best_v : nullptr);
    if (!std::isfinite(f) || (v - best_v).squaredNorm() <= same_mode * (1.0 + best_v.squaredNorm())) return;
    elsewhere |= std::isfinite(best);
    if (!(f > best)) return;
    best = f;
    best_v = v;
  };
  for (int a = 0; a < q_; ++a)
    for (const Vector& start : rows_.starts_beside(best_v, a)) search_from(start);
  // Corners around the best.
  for (int corner = 0; sums.at_leisure && q_ > 1 && q_ <= most_with_corners && corner < 1 << q_; ++corner) {
    Vector start = best_v;
    for (int a = 0; a < q_; ++a) start[a] += (corner >> a & 1) != 0 ? to_corner : -to_corner;
    search_from(start);
  }
  sums.several_modes += elsewhere;
  found = best_v;
  return std::isfinite(best);
}

}  // namespace multilevel::likelihood
