// The conditional modes of all random effects together: the part of JointSeveralObjective that looks for them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "likelihood/joint/mode_path.hpp"
#include "likelihood/joint_several/objective.hpp"
#include "likelihood/mode_scan.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double least_kept = 0.1;  // of negative curvature that is tried before none is taken
constexpr int most_level_rounds = 20;
constexpr std::int64_t thorough_rows = 5000;  // up to so many the levels are searched one by one
constexpr double most_trial_rows = 20000.0;   // rows x random effects up to which they are with others following
constexpr double to_sides[] = {-2.0, -0.8, 0.8, 2.0};

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
  for (int round = 0; model_.n_rows() <= thorough_rows && round < most_level_rounds; ++round) {
    double found = 0.0;
    if (settle(modes, sums) && climb(modes, sums, found, mode_error) && found > f + least_gain) {
      f = found;
      best = modes;
    } else if (!at_leisure_ || !try_levels(best, f, sums))
      break;
    modes = best;
  }
  modes = best;
  return true;
}

/// Newton's method on f, which is returned; the last step is taken unseen, once its decrement is negligible. Where H is
/// not positive definite the rows' positive curvature points the way.
bool JointSeveralObjective::climb(std::vector<double>& modes, Sums& sums, double& f, double error) {
  ModePath path(modes, step_, old_);
  const double size = path.size(), tolerance = tolerance_of(lambda_.squaredNorm());
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
    const bool stands = decrement < size * mode_error && !(decrement < last);
    last = decrement;
    if (!(decrement < std::min(std::sqrt(size) * error, 10.0 * size * tolerance) || stands)) continue;
    if (all) return concave;  // a saddle point is no mode
    share = 1.0;
  }
  return false;
}

/// True when levels of some factor were moved to where f is larger, everything else held.
bool JointSeveralObjective::settle(std::vector<double>& modes, Sums& sums) {
  bool moved = false;
  for (int factor = 0; factor < static_cast<int>(model_.factors().size()); ++factor)
    moved |= move_levels(factor, modes, sums);
  return moved;
}

bool JointSeveralObjective::move_levels(int factor, std::vector<double>& modes, Sums& sums,
                                        const std::vector<char>* near) {
  const auto& own = model_.factors()[static_cast<std::size_t>(factor)];
  evaluate_at(modes, false);
  const Eigen::MatrixXd lambda = lambda_.block(own.first, own.first, own.q, own.q);
  return densities_->move_levels(factor, lambda, modes, sums.several_modes, near) > 0;
}

/// With the other effects held a level may have no other peak where, taken along, the levels of other factors that
/// share its rows have one: each is tried on either side with these following. True when that led to something better.
bool JointSeveralObjective::try_levels(std::vector<double>& best, double& f, Sums& sums) {
  const int n_factors = static_cast<int>(model_.factors().size());
  const auto n_rows = static_cast<std::size_t>(model_.n_rows());
  if (static_cast<double>(best.size()) * static_cast<double>(n_rows) > most_trial_rows) return false;
  std::vector<double> modes;
  std::vector<char> near(n_rows);
  bool better = false;
  for (int factor = 0; factor < n_factors; ++factor) {
    const auto& own = model_.factors()[static_cast<std::size_t>(factor)];
    for (int level = 0; level < own.n_levels; ++level) {
      for (int i = 0; i < model_.n_clusters(); ++i)
        for (auto j = model_.cluster_start(i); j < model_.cluster_start(i + 1); ++j)
          near[static_cast<std::size_t>(j)] =
              (factor == model_.leading() ? model_.cluster_level(i) : model_.levels(factor)[j]) == level;
      for (int a = 0; a < own.q; ++a)
        for (const double move : to_sides) {
          modes = best;
          modes[static_cast<std::size_t>(own.offset + std::int64_t{level} * own.q + a)] += move;
          for (int k = 1; k < n_factors; ++k) move_levels((factor + k) % n_factors, modes, sums, &near);
          const double near_by = penalized(evaluate_at(modes, false), modes);
          double found = 0.0;
          if (!(near_by > f - worth_a_search) || !climb(modes, sums, found, mode_error) || !(found > f + least_gain))
            continue;
          f = found;
          best = modes;
          better = true;
        }
    }
  }
  return better;
}

}  // namespace multilevel::likelihood
