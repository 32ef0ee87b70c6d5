// The conditional modes of all random effects together: the part of JointSeveralObjective that looks for them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "likelihood/joint_several/objective.hpp"
#include "likelihood/mode_course.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double mode_error = 1e-9;     // that a last step taken unseen may leave
constexpr double error_beside = 1e-11;  // the same where differences of gradients are taken
constexpr double least_gain = 1e-6;     // worth moving a level for
constexpr double least_kept = 0.1;      // of negative curvature that is tried before none is taken
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
  ModeCourse course;
  const auto n = static_cast<Eigen::Index>(modes.size());
  // The decrement is a sum over the random effects, as the information is.
  const double size = std::max(1.0, static_cast<double>(n) / 1000.0);
  double last = std::numeric_limits<double>::infinity(), share = 1.0;
  for (int iteration = 0; iteration < most_newton_steps; ++iteration) {
    check_interrupt();
    const double now =
        evaluate_at(modes, false) - 0.5 * Eigen::Map<const Eigen::VectorXd>(modes.data(), n).squaredNorm();
    const bool at_zero = std::all_of(modes.begin(), modes.end(), [](double v) { return v == 0.0; });
    switch (course.arrive(now, at_zero)) {
      case ModeCourse::Turn::shrink: {
        const double factor = course.shrinkage();
        for (auto& v : modes) v *= factor;
        continue;
      }
      case ModeCourse::Turn::back:
        for (std::size_t k = 0; k < modes.size(); ++k) {
          step_[k] *= 0.5;
          modes[k] = old_[k] + step_[k];
        }
        continue;
      case ModeCourse::Turn::enter:
      case ModeCourse::Turn::fail:
        return false;
      case ModeCourse::Turn::step:
        break;
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
    precision_.solve(step_.data(), 1, n);
    ++sums.newton_steps;
    const double decrement =
        Eigen::Map<const Eigen::VectorXd>(gradient_.data(), n).dot(Eigen::Map<const Eigen::VectorXd>(step_.data(), n));
    if (!std::isfinite(decrement)) return false;
    f = now;
    if (const double reach = course.leave(f, decrement); reach > 1.0)
      for (auto& s : step_) s *= reach;
    old_ = modes;
    for (std::size_t k = 0; k < modes.size(); ++k) modes[k] += step_[k];
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
