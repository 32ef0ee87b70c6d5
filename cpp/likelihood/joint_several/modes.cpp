// The conditional modes of all random effects together: the part of JointSeveralObjective that looks for them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "likelihood/joint/mode_path.hpp"
#include "likelihood/joint_several/objective.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double least_gain = 1e-6;  // worth moving a level for
constexpr double least_kept = 0.1;   // of negative curvature that is tried before none is taken
constexpr int most_rounds = 20;
constexpr std::int64_t thorough_rows = 5000;  // up to so many the levels are searched one by one

}  // namespace

/// The density of choices is log-concave: its one mode is found from anywhere. Densities with several predictors are
/// rarely concave in all of them: the largest mode is looked for from zero, and from where the best can be bettered by
/// moving a level, from places that do not depend on what was evaluated before. Differences are taken at one and the
/// same mode.
bool JointSeveralObjective::find_modes(std::vector<double>& modes, Sums& sums, bool beside) {
  double f = 0.0;
  if (beside || concave_) return climb(modes, sums, f, beside ? error_beside : mode_error);
  std::fill(modes.begin(), modes.end(), 0.0);
  if (!climb(modes, sums, f, mode_error)) return false;
  std::vector<double> best = modes;
  for (int round = 0; model_.n_rows() <= thorough_rows && round < most_rounds; ++round) {
    double found = 0.0;
    if (!settle(modes, sums) || !climb(modes, sums, found, mode_error) || !(found > f + least_gain)) break;
    f = found;
    best = modes;
  }
  modes = best;
  return true;
}

/// Newton's method on f, which is returned; the last step is taken unseen, once its decrement is negligible. Where H is
/// not positive definite the rows' positive curvature points the way.
bool JointSeveralObjective::climb(std::vector<double>& modes, Sums& sums, double& f, double error) {
  ModePath path(modes, step_, old_);
  const double size = path.size();
  double last = std::numeric_limits<double>::infinity(), share = 1.0;
  for (int iteration = 0; iteration < most_newton_steps; ++iteration) {
    check_interrupt();
    const double now = penalized(evaluate_at(modes, false), modes);
    if (const auto turn = path.arrive(now); turn != ModeCourse::Turn::step) {
      if (turn == ModeCourse::Turn::fail || turn == ModeCourse::Turn::enter) return false;
      continue;
    }
    penalized_gradient(modes);
    // As much of what is negative in the rows' curvature as leaves H positive definite.
    const bool all = share == 1.0;
    while (!factor(share)) {
      if (share == 0.0) return false;
      share = share > least_kept ? 0.5 * share : 0.0;
    }
    const bool concave = share == 1.0;
    share = std::min(1.0, 4.0 * std::max(share, least_kept));
    step_ = gradient_;
    precision_.solve(step_.data(), 1, static_cast<std::ptrdiff_t>(step_.size()));
    ++sums.newton_steps;
    const double decrement = as_vector(gradient_).dot(as_vector(step_));
    if (!std::isfinite(decrement)) return false;
    f = now;
    path.go(f, decrement);
    // An error of the order of the decrement is left. Rounding may not let it fall any further.
    const bool stands = decrement < size * error_beside && !(decrement < last);
    last = decrement;
    if (!(decrement < std::sqrt(size) * error || stands)) continue;
    if (all) return concave;  // a saddle point is no mode
    share = 1.0;
  }
  return false;
}

/// True when levels of some factor were moved to where f is larger, everything else held.
bool JointSeveralObjective::settle(std::vector<double>& modes, Sums& sums) {
  bool moved = false;
  for (int f = 0; f < static_cast<int>(model_.factors().size()); ++f) {
    const auto& factor = model_.factors()[static_cast<std::size_t>(f)];
    evaluate_at(modes, false);
    const Eigen::MatrixXd lambda = lambda_.block(factor.first, factor.first, factor.q, factor.q);
    moved |= densities_->move_levels(f, lambda, modes, sums.several_modes) > 0;
  }
  return moved;
}

}  // namespace multilevel::likelihood
