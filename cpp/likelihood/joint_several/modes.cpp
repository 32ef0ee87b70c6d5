// The conditional modes of all random effects together: the part of JointSeveralObjective that looks for them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "likelihood/joint/moments.hpp"
#include "likelihood/joint_several/objective.hpp"
#include "likelihood/mode_course.hpp"
#include "linear_algebra/small_factor.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr double mode_error = 1e-9;     // that a last step taken unseen may leave
constexpr double error_beside = 1e-11;  // the same where differences of gradients are taken
constexpr double away = 1.5;            // where searches of a level begin beside zero, one random effect at a time
constexpr int most_level_steps = 12;    // of a level's search: what it has found by then is judged
constexpr int most_shifts = 60;
constexpr double least_shift = 1e-3;  // of a curvature that is not positive, relative to its largest entry
constexpr double level_error = 1e-4;  // a level's decrement that ends its search
constexpr double least_gain = 1e-6;   // worth moving a level for
constexpr double same_mode = 1e-4;    // squared distance, relative to 1 + v'v
constexpr int most_rounds = 20;
constexpr std::int64_t thorough_rows = 5000;  // up to so many the levels are searched one by one
constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// The search of one level for a mode of its own.
struct LevelSearch {
  Eigen::VectorXd v, step, old;
  double f = minus_infinity;
  bool done = false;
};

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
  double last = std::numeric_limits<double>::infinity();
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
    const bool concave = factor(false);
    if (!concave && !factor(true)) return false;
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
    if (decrement < std::sqrt(size) * error || stands) return concave;  // a saddle point is no mode
    last = decrement;
  }
  return false;
}

/// True when the levels of some factor were moved to where f is larger, everything else held.
bool JointSeveralObjective::settle(std::vector<double>& modes, Sums& sums) {
  bool moved = false;
  for (int factor = 0; factor < static_cast<int>(model_.factors().size()); ++factor)
    moved |= settle_factor(factor, modes, sums);
  return moved;
}

/// Levels of one factor share no rows: with the others held each is searched for on its own, all of them at a time, as
/// clusters with one factor are (several_predictors/modes.cpp).
bool JointSeveralObjective::settle_factor(int factor, std::vector<double>& modes, Sums& sums) {
  const auto& own = model_.factors()[at(factor)];
  const int q = own.q;
  const bool leads = factor == model_.leading();
  int other = 0;
  while (!leads && pattern_.others()[at(other)] != factor) ++other;
  const Eigen::MatrixXd lambda = lambda_.block(own.first, own.first, q, q);
  std::vector<double> rows(at(own.n_levels));
  auto evaluate_levels = [&](const std::vector<double>& where) {
    evaluate_at(where, false);
    std::fill(rows.begin(), rows.end(), 0.0);
    for (int i = 0; leads && i < model_.n_clusters(); ++i) {
      const auto first = model_.cluster_start(i);
      rows[at(model_.cluster_level(i))] =
          numeric::sum(static_cast<int>(model_.cluster_start(i + 1) - first), densities_->value() + first);
    }
    for (std::int64_t j = 0; !leads && j < model_.n_rows(); ++j)
      rows[at(model_.levels(factor)[j])] += densities_->value()[j];
  };
  auto block = [&](std::vector<double>& where, int level) {
    return Eigen::Map<Eigen::VectorXd>(where.data() + own.offset + std::int64_t{level} * q, q);
  };
  std::vector<LevelSearch> best(at(own.n_levels)), search(best.size());
  evaluate_levels(modes);
  for (int level = 0; level < own.n_levels; ++level) {
    best[at(level)].v = block(modes, level);
    best[at(level)].f = rows[at(level)] - 0.5 * best[at(level)].v.squaredNorm();
  }
  const std::vector<LevelSearch> start = best;
  std::vector<double> trial = modes;
  std::vector<bool> elsewhere(best.size(), false);
  Eigen::MatrixXd H(q, q), L(q, q);
  for (int place = 0; place < 2 * q; ++place) {
    const int a = place / 2;
    if (lambda.col(a).isZero(0.0)) continue;
    for (int level = 0; level < own.n_levels; ++level) {
      auto& s = search[at(level)];
      s = {Eigen::VectorXd::Zero(q), Eigen::VectorXd::Zero(q), Eigen::VectorXd::Zero(q)};
      s.v[a] = place % 2 == 0 ? away : -away;
    }
    for (int iteration = 0; iteration < most_level_steps; ++iteration) {
      for (int level = 0; level < own.n_levels; ++level) block(trial, level) = search[at(level)].v;
      check_interrupt();
      evaluate_levels(trial);
      penalized_gradient(trial);
      set_products(false);
      bool all_done = true;
      for (int i = 0; i < own.n_levels; ++i) {
        const int level = leads ? model_.cluster_level(i) : i;
        auto& s = search[at(level)];
        if (s.done) continue;
        const double now = rows[at(level)] - 0.5 * s.v.squaredNorm();
        if (!(now >= s.f - 1e-9 * (1.0 + std::fabs(s.f)))) {
          s.done = iteration == 0;
          s.step *= 0.5;
          s.v = s.old + s.step;
          all_done &= s.done;
          continue;
        }
        s.f = now;
        s.old = s.v;
        const double* B = leads
                              ? products_.leading.data() + std::int64_t{i} * q * q
                              : products_.blocks.data() + pattern_.blocks()[at(pattern_.own_block(other, level))].first;
        H = lambda.transpose() * Eigen::Map<const Eigen::MatrixXd>(B, q, q) * lambda;
        H.diagonal().array() += 1.0;
        s.step = block(gradient_, level);
        bool concave = true;
        double shift = 0.0;
        for (int k = 0; k < most_shifts && H.allFinite(); ++k) {
          L = H;
          L.diagonal().array() += shift;
          if (linear_algebra::small::cholesky(q, L.data())) {
            linear_algebra::small::forward(q, L.data(), s.step.data());
            linear_algebra::small::backward(q, L.data(), s.step.data());
            break;
          }
          concave = false;
          shift = shift == 0.0 ? least_shift * std::max(1.0, H.cwiseAbs().maxCoeff()) : 2.0 * shift;
        }
        const double decrement = block(gradient_, level).dot(s.step);
        s.v += s.step;
        s.done = !std::isfinite(decrement) || (concave && decrement < level_error);
        if (s.done) s.v = s.old;
        all_done &= s.done;
      }
      if (all_done) break;
    }
    for (int level = 0; level < own.n_levels; ++level) {
      const auto &s = search[at(level)], &from = start[at(level)];
      auto& b = best[at(level)];
      if (!std::isfinite(s.f) || s.old.size() == 0) continue;
      if (s.done && (s.old - from.v).squaredNorm() > same_mode * (1.0 + from.v.squaredNorm()) + 2.0 * level_error)
        elsewhere[at(level)] = true;
      if (!(s.f > b.f + least_gain)) continue;
      b.v = s.old;
      b.f = s.f;
    }
  }
  bool moved = false;
  for (int level = 0; level < own.n_levels; ++level) {
    sums.several_modes += elsewhere[at(level)];
    if (!(best[at(level)].f > start[at(level)].f + least_gain)) continue;
    block(modes, level) = best[at(level)].v;
    moved = true;
  }
  return moved;
}

}  // namespace multilevel::likelihood
