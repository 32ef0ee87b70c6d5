// The conditional modes of all random effects together: the part of JointObjective that looks for them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "family/of_row.hpp"
#include "likelihood/joint/mode_path.hpp"
#include "likelihood/joint/objective.hpp"
#include "numeric/row_sums.hpp"

namespace multilevel::likelihood {

namespace {

constexpr int most_steps =
    5 * most_newton_steps;                    // large effects that thresholds divide make f a ridge with many kinks
constexpr double close_by = 1e-2;             // Newton decrement below which the next step can use the same factor
constexpr std::int64_t thorough_rows = 5000;  // up to so many the largest of several modes is looked for at leisure
constexpr double most_trial_rows = 20000.0;   // rows x random effects up to which levels are tried one by one
constexpr double few_digits = 0.05;           // Newton decrement of the last step to where another climb starts
constexpr double surely_same = 1e-4;          // squared distance to a mode that a step leads to, relative to 1 + v'v
constexpr double least_pull = 0.02;           // Newton decrement of a part of a mixture that is tried
constexpr double to_sides[] = {-1.2, -0.4, 0.4, 1.2};  // of a level's effect, what is nested in it following

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

JointObjective::Several::Several(const model::Model& model)
    : scan(static_cast<int>(model.n_rows()),
           std::max_element(model.factors().begin(), model.factors().end(),
                            [](const auto& a, const auto& b) { return a.n_levels < b.n_levels; })
               ->n_levels),
      slope(at(model.n_rows())),
      effect(at(model.n_modes())),
      level(slope.size()),
      sign(slope.size(), 1.0),
      best_v(at(model.n_modes())) {}

/// Where the density is log-concave there is one mode, and the search may start anywhere. Otherwise the largest is
/// looked for, from starts that the parameters and the data alone decide; but differences are taken at one and the same
/// mode.
bool JointObjective::find_modes(std::vector<double>& modes, Sums& sums, bool beside) {
  double f = 0.0;
  return several_ && !beside ? find_largest(modes, sums)
                             : climb(modes, sums, f, beside && factored_ ? Aim::beside : Aim::mode);
}

/// Whether f is concave wherever the linear predictors are, by the bounds of the rows' second derivatives.
bool JointObjective::is_concave() {
  auto& [value, second, third] = several_->bounds;
  for (auto* bound : {&value, &second, &third}) bound->resize(weight_.size());
  if (!model_.family().bounds(static_cast<int>(model_.n_rows()), data_, {value.data(), second.data(), third.data()}))
    return false;
  for (std::size_t j = 0; j < weight_.size(); ++j) weight_[j] = -second[j];
  products_.set(pattern_, weight_.data());
  return precision_.factor(products_, lambda_);
}

/// Searches from zero, from what the responses alone say of the random effects, from the modes of the parts of a
/// mixture, and from where the best of these can be bettered by moving levels one by one. Small data, where it costs
/// nothing to speak of, are searched more thoroughly: there every level is tried at its other peaks, and its rows at
/// each part, with the rest following. What cannot be seen are modes better only by moving several levels at once;
/// sums.several_modes counts what hints at them.
bool JointObjective::find_largest(std::vector<double>& modes, Sums& sums) {
  Several& s = *several_;
  const int n_factors = static_cast<int>(model_.factors().size());
  s.found = false;
  s.best_f = -std::numeric_limits<double>::infinity();
  if (is_concave()) {
    double f = 0.0;
    std::fill(modes.begin(), modes.end(), 0.0);
    return climb(modes, sums, f);
  }
  auto search = [&] {
    double f = 0.0;
    return climb(modes, sums, f) && keep_best(f, modes, sums);
  };
  const bool thorough = model_.n_rows() <= thorough_rows;
  const bool leaves_peaks = model_.family().levels_off() && tries_one_by_one() && moves_far();
  const bool scans = model_.family().far_modes() || leaves_peaks;
  auto settle_all = [&](bool forwards) {
    for (int round = 0; round < (thorough ? most_rounds : 1); ++round)
      if (!settle(modes, forwards ? 0 : n_factors - 1, forwards ? 1 : -1)) break;
  };
  for (const double side : {0.0, 1.0, -1.0}) {
    if (side < 0.0 && !model_.family().is_even()) continue;
    // What is best with the others held depends on who comes first.
    for (const bool forwards : {true, false}) {
      if (side == 0.0)
        std::fill(modes.begin(), modes.end(), 0.0);
      else {
        std::fill(s.sign.begin(), s.sign.end(), side);
        if (!from_responses(modes)) continue;
      }
      if (scans && (side == 0.0 || thorough)) settle_all(forwards);
      search();
      if (!scans || (side != 0.0 && !thorough)) break;
    }
  }
  for (int k = 0; k < model_.family().n_parts(); ++k)
    if (to_part(k, modes, sums)) search();
  if (!s.found) return false;
  for (int round = 0; scans && round < most_rounds; ++round) {
    modes = s.best_v;
    if (settle(modes, 0, 1) && search()) continue;
    const bool by_levels = try_levels(modes, sums, leaves_peaks || at_leisure_);
    const bool by_parts = try_parts(modes, sums);
    if (!by_levels && !by_parts) break;
  }
  if (model_.family().is_even() && tries_one_by_one()) try_signs(modes, sums);
  modes = s.best_v;
  return true;
}

/// Whether one unit of some random effect takes rows off their peaks.
bool JointObjective::moves_far() const {
  std::vector<double>& move = several_->slope;
  for (const auto& factor : model_.factors())
    for (int a = 0; a < factor.q; ++a) {
      set_slopes(factor, a);
      if (std::any_of(move.begin(), move.end(), [](double x) { return std::fabs(x) > leaves_peak; })) return true;
    }
  return false;
}

/// How much one unit of the a-th random effect moves each row.
void JointObjective::set_slopes(const model::Factor& factor, int a) const {
  std::vector<double>& slope = several_->slope;
  std::fill(slope.begin(), slope.end(), 0.0);
  for (const auto& panel : model_.panels())
    for (int b = 0; b < factor.q; ++b)
      numeric::add_multiple(panel.n_rows, lambda_(factor.first + b, factor.first + a),
                            model_.random_column(panel, factor.first + b), slope.data() + panel.first_row);
}

/// Whether levels, and rows, are tried one by one.
bool JointObjective::tries_one_by_one() const {
  return static_cast<double>(model_.n_modes()) * static_cast<double>(model_.n_rows()) <= most_trial_rows;
}

/// Tries each level at its other peaks, everything else following. True when that led to something better. With the
/// other effects held a level may have no other peak where, taken along, those that are nested in it have one: where
/// rows leave their peaks it is tried on either side as well.
bool JointObjective::try_levels(std::vector<double>& modes, Sums& sums, bool on_both_sides) {
  Several& s = *several_;
  if (!tries_one_by_one()) return false;
  const int n_factors = static_cast<int>(model_.factors().size());
  int most_levels = 0;
  for (const auto& factor : model_.factors()) most_levels = std::max(most_levels, factor.n_levels);
  bool better = false;
  auto try_at = [&](int factor, std::size_t place, double effect, const std::vector<char>* near) {
    if (std::isnan(effect) || std::fabs(effect - s.best_v[place]) < 1e-3) return;
    modes = s.best_v;
    modes[place] = effect;
    settle(modes, (factor + 1) % n_factors, 1, near);
    const double f = penalized(evaluate_rows(family::Order::step, modes), modes);
    double found = 0.0;
    if (f > s.best_f - worth_a_search && climb(modes, sums, found, Aim::another))
      better |= keep_best(found, modes, sums);
  };
  for (int factor = 0; factor < n_factors; ++factor) {
    const auto& own = model_.factors()[at(factor)];
    for (int a = 0; a < own.q; ++a) {
      modes = s.best_v;
      scan_along(factor, a, modes);
      s.peaks.clear();
      for (int level = 0; level < own.n_levels; ++level)
        for (int r = 0; r < ModeScan::most_peaks; ++r) s.peaks.push_back(s.scan.peak(level, r));
      for (int level = 0; level < own.n_levels; ++level) {
        const auto place = at(own.offset + std::int64_t{level} * own.q + a);
        for (int r = 0; r < ModeScan::most_peaks; ++r)
          try_at(factor, place, s.peaks[at(level * ModeScan::most_peaks + r)], nullptr);
        if (!on_both_sides || own.n_levels == most_levels) continue;
        set_levels(factor);
        s.near.assign(s.level.size(), 0);
        for (std::size_t j = 0; j < s.near.size(); ++j) s.near[j] = s.level[j] == level;
        for (const double move : to_sides) try_at(factor, place, s.best_v[place] + move, &s.near);
      }
    }
  }
  return better;
}

/// Tries the rows of each level at one part of a mixture, everything else following. True when that led to something
/// better.
bool JointObjective::try_parts(std::vector<double>& modes, Sums& sums) {
  Several& s = *several_;
  const auto n_rows = at(model_.n_rows());
  if (!tries_one_by_one()) return false;
  const family::Phi all = data_.phi;
  bool better = false;
  for (int k = 0; k < model_.family().n_parts(); ++k) {
    family::Phi part = all;
    model_.family().leave_part(k, part);
    for (int factor = 0; factor < static_cast<int>(model_.factors().size()); ++factor) {
      set_levels(factor);
      const std::vector<double> pulls = pulls_to(part, model_.factors()[at(factor)].n_levels);
      for (int level = 0; level < static_cast<int>(pulls.size()); ++level) {
        if (pulls[at(level)] < least_pull) continue;
        for (int r = 0; r < model_.family().n_phi(); ++r) {
          if (part.value[r] == all.value[r]) continue;
          s.part_phi[r].resize(n_rows);
          for (std::size_t j = 0; j < n_rows; ++j)
            s.part_phi[r][j] = (s.level[j] == level ? part : all).at(r, static_cast<std::ptrdiff_t>(j));
          data_.phi.value[r] = s.part_phi[r].data();
          data_.phi.step[r] = 1;
        }
        modes = s.best_v;
        double f = 0.0;
        const bool found = climb(modes, sums, f, Aim::start);
        data_.phi = all;
        if (!found) continue;
        f = penalized(evaluate_rows(family::Order::step, modes), modes);
        if (f > s.best_f - worth_a_search && climb(modes, sums, f, Aim::another)) better |= keep_best(f, modes, sums);
      }
    }
  }
  return better;
}

/// How much a part of a mixture, as the density of a level's rows, would pull the best mode away: the Newton decrement.
std::vector<double> JointObjective::pulls_to(const family::Phi& part, int n_levels) {
  Several& s = *several_;
  std::vector<double> pulls(at(n_levels), 0.0);
  std::vector<double>& slope = s.slope;
  const family::Phi all = data_.phi;
  data_.phi = part;
  evaluate_rows(family::Order::step, s.best_v);
  std::copy_n(at_mode_.eta[0], slope.size(), slope.data());
  data_.phi = all;
  evaluate_rows(family::Order::step, s.best_v);
  for (std::size_t j = 0; j < slope.size(); ++j) slope[j] -= at_mode_.eta[0][j];
  set_weights(true);
  if (!precision_.factor(products_, lambda_)) return pulls;
  for (int level = 0; level < n_levels; ++level) {
    for (std::size_t j = 0; j < slope.size(); ++j) shift_[j] = s.level[j] == level ? slope[j] : 0.0;
    std::fill(gradient_.begin(), gradient_.end(), 0.0);
    for (const auto& panel : model_.panels())
      add_level_sums(model_, panel, shift_.data() + panel.first_row, gradient_.data());
    transpose_scale_modes(model_, lambda_, gradient_.data());
    pulls[at(level)] = newton_step(1.0);
  }
  return pulls;
}

/// Moves v so that rows outside the domain come nearer to what their responses make of eta. False where v cannot.
bool JointObjective::enter_domain(std::vector<double>& modes) {
  std::fill(step_.begin(), step_.end(), 0.0);
  for (const auto& panel : model_.panels()) {
    for (std::int64_t j = panel.first_row; j < panel.first_row + panel.n_rows; ++j) {
      weight_[at(j)] = std::isfinite(value_[at(j)]) ? 0.0 : outside_weight;
      const double target = family::start_eta(model_.family(), data_, j);
      shift_[at(j)] = weight_[at(j)] * (target - eta_[at(j)]);
    }
    add_level_sums(model_, panel, shift_.data() + panel.first_row, step_.data());
  }
  products_.set(pattern_, weight_.data());
  if (!precision_.factor(products_, lambda_)) return false;
  transpose_scale_modes(model_, lambda_, step_.data());
  precision_.solve(step_.data(), 1, static_cast<std::ptrdiff_t>(modes.size()));
  double size = 0.0;
  for (std::size_t k = 0; k < modes.size(); ++k) {
    modes[k] += step_[k];
    size += step_[k] * step_[k];
  }
  return std::isfinite(size) && size > 0.0;
}

/// v of the linear model in which every row says what its response alone would make of eta, with the rows' signs.
bool JointObjective::from_responses(std::vector<double>& modes) {
  const auto& family = model_.family();
  for (std::int64_t j = 0; j < model_.n_rows(); ++j)
    eta_[at(j)] = several_->sign[at(j)] * family::start_eta(family, data_, j);
  set_weights(false);
  if (!precision_.factor(products_, lambda_)) return false;
  std::fill(modes.begin(), modes.end(), 0.0);
  for (const auto& panel : model_.panels()) {
    for (std::int64_t j = panel.first_row; j < panel.first_row + panel.n_rows; ++j)
      shift_[at(j)] = weight_[at(j)] * (eta_[at(j)] - fixed_eta_[at(j)]);
    add_level_sums(model_, panel, shift_.data() + panel.first_row, modes.data());
  }
  transpose_scale_modes(model_, lambda_, modes.data());
  precision_.solve(modes.data(), 1, static_cast<std::ptrdiff_t>(modes.size()));
  return std::all_of(modes.begin(), modes.end(), [](double v) { return std::isfinite(v); });
}

/// Goes to the mode of one part of a mixture alone.
bool JointObjective::to_part(int k, std::vector<double>& modes, Sums& sums) {
  const family::Phi all = data_.phi;
  model_.family().leave_part(k, data_.phi);
  std::fill(modes.begin(), modes.end(), 0.0);
  double f = 0.0;
  const bool found = climb(modes, sums, f);
  data_.phi = all;
  return found;
}

/// Takes the modes that have just been found if they are better.
bool JointObjective::keep_best(double f, const std::vector<double>& modes, Sums& sums) {
  Several& s = *several_;
  if (s.found) {
    if (!(distance_to(modes, s.best_v) > same_mode)) return false;
    ++sums.several_modes;
    if (!(f > s.best_f)) return false;
  }
  s.found = true;
  s.best_f = f;
  s.best_v = modes;
  return true;
}

/// Moves the random effects of one factor after the other, from `first` on and round, to the largest value of f with
/// everything else held: levels of one factor share no rows, so all of them can move at once. With `near` only levels
/// that have one of these rows do. True when one has moved.
bool JointObjective::settle(std::vector<double>& modes, int first, int step, const std::vector<char>* near) {
  Several& s = *several_;
  const int n_factors = static_cast<int>(model_.factors().size());
  bool moved = false;
  for (int k = 0, factor = first; k < n_factors; ++k, factor = (factor + step + n_factors) % n_factors) {
    const auto& own = model_.factors()[at(factor)];
    for (int a = 0; a < own.q; ++a) {
      const ModeScan::Line line = scan_along(factor, a, modes, near);
      s.scan.climb(model_.family(), line);
      for (int i = 0; i < own.n_levels; ++i) {
        if (!(s.scan.gain(i) > least_gain)) continue;
        modes[at(own.offset + std::int64_t{i} * own.q + a)] = s.scan.best(i);
        moved = true;
      }
    }
  }
  return moved;
}

/// The level of a factor in each row.
void JointObjective::set_levels(int factor) {
  for (int i = 0; i < model_.n_clusters(); ++i)
    for (std::int64_t j = model_.cluster_start(i); j < model_.cluster_start(i + 1); ++j)
      several_->level[at(j)] = factor == model_.leading() ? model_.cluster_level(i) : model_.levels(factor)[j];
}

/// The peaks of f along one random effect of all levels of a factor.
ModeScan::Line JointObjective::scan_along(int factor, int a, const std::vector<double>& modes,
                                          const std::vector<char>* near) {
  Several& s = *several_;
  const auto& own = model_.factors()[at(factor)];
  evaluate_rows(family::Order::step, modes);
  set_slopes(own, a);
  set_levels(factor);
  if (near) {
    s.skip.assign(at(own.n_levels), 1);
    for (std::size_t j = 0; j < near->size(); ++j)
      if ((*near)[j]) s.skip[at(s.level[j])] = 0;
  }
  for (int i = 0; i < own.n_levels; ++i) s.effect[at(i)] = modes[at(own.offset + std::int64_t{i} * own.q + a)];
  const ModeScan::Line line{static_cast<int>(model_.n_rows()),
                            own.n_levels,
                            eta_.data(),
                            s.slope.data(),
                            data_,
                            s.level.data(),
                            s.effect.data(),
                            near ? s.skip.data() : nullptr};
  s.scan.run(model_.family(), line);
  return line;
}

/// Newton's method on f, which is returned; the last step is taken unseen, once its decrement is negligible.
bool JointObjective::climb(std::vector<double>& modes, Sums& sums, double& f, Aim aim) {
  bool reuse = aim == Aim::beside;
  double last = std::numeric_limits<double>::infinity();
  const double error = reuse ? error_beside : mode_error, tolerance = tolerance_of(lambda_.squaredNorm());
  bool concave = true;
  ModePath path(modes, step_, old_);
  // A factor from close by points the way as well: that of the point beside, if it may be reused, or of the last step.
  factored_ = false;
  const double size = path.size();
  for (int iteration = 0; iteration < most_steps; ++iteration) {
    check_interrupt();
    const double now = penalized(evaluate_rows(family::Order::step, modes), modes);
    if (const auto turn = path.arrive(now); turn != ModeCourse::Turn::step) {
      reuse = false;
      if (turn == ModeCourse::Turn::fail || (turn == ModeCourse::Turn::enter && !enter_domain(modes))) return false;
      continue;
    }
    penalized_gradient(modes);
    const double share = reuse ? 1.0 : factor_uphill(concave);
    if (share == 0.0) return false;
    const double decrement = newton_step(share);
    ++sums.newton_steps;
    if (!std::isfinite(decrement)) return false;
    f = now;
    path.go(f, decrement);
    if (share != 1.0) continue;
    if (aim == Aim::start && decrement < few_digits) return concave;
    if (aim == Aim::another && concave && decrement < few_digits && distance_to(modes, several_->best_v) < surely_same)
      return false;
    // After a step with its own factor an error of the order of the decrement is left; after one with another's, the
    // step shortened as the last one was.
    const double shortening = !reuse ? decrement : std::isfinite(last) ? std::min(1.0, decrement / last) : 1.0;
    // Rounding may not let it fall any further; another point's factor may not, either.
    const bool stands = decrement < size * (reuse ? mode_error * mode_error : mode_tolerance) && !(decrement < last);
    if (stands || (decrement * shortening < size * error * error && decrement < size * tolerance))
      return concave;  // a saddle point is no mode
    reuse = concave && decrement < close_by && decrement < 0.01 * last;
    last = decrement;
  }
  return false;
}

/// The step from the gradient by the factor at hand, times a share; returns its decrement.
double JointObjective::newton_step(double share) {
  step_ = gradient_;
  precision_.solve(step_.data(), 1, static_cast<std::ptrdiff_t>(step_.size()));
  if (share != 1.0)
    for (auto& s : step_) s *= share;
  return as_vector(gradient_).dot(as_vector(step_));
}

/// Factorizes H, or what points uphill in its place: where the observed H is not positive definite (`concave` says so),
/// the expected information never points downhill; where it is by rounding alone, a share of it does as well. Returns
/// the share, zero where there is none.
double JointObjective::factor_uphill(bool& concave) {
  set_weights(true);
  concave = precision_.factor(products_, lambda_);
  if (concave) return 1.0;
  if (several_) set_weights(false);
  return several_ && precision_.factor(products_, lambda_) ? 1.0 : factor_share();
}

/// Factorizes I + share B for the largest share where that can be done, which is returned; zero where there is none.
double JointObjective::factor_share() {
  for (double share = first_share; share > least_share; share *= first_share) {
    for (auto& w : weight_) w *= first_share;
    products_.set(pattern_, weight_.data());
    if (precision_.factor(products_, lambda_)) return share;
  }
  return 0.0;
}

}  // namespace multilevel::likelihood
