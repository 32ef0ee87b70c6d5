// The modes of a density that is the same at eta and -eta, the part of JointObjective that looks for their signs.
//
// A count above zero has no density at eta = 0, and f one mode for each pattern of signs that the rows' linear
// predictors can have. From a mode, all rows of a level and single rows change their signs until nothing makes f
// larger. Where that ends depends on where it began: it begins at the best mode, where all signs are the same, and at
// patterns in which they alternate.
#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "likelihood/joint/mode_path.hpp"
#include "likelihood/joint/objective.hpp"

namespace multilevel::likelihood {

namespace {

constexpr unsigned n_patterns = 6;  // beside those with one sign alone: more found little
constexpr double most_loss = 12.0;  // of f, about, by a move that is tried

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

/// Looks for better modes by changing signs.
void JointObjective::try_signs(std::vector<double>& modes, Sums& sums) {
  Several& s = *several_;
  s.turned.clear();
  modes = s.best_v;
  change_signs(s.best_f, modes, sums);
  for (unsigned k = 0; k <= n_patterns + 1; ++k) {
    for (std::size_t j = 0; j < s.sign.size(); ++j) {
      // Walsh functions of the rows, which are balanced and of which no two are alike
      const bool odd = k > 1 ? std::popcount(static_cast<unsigned>(j) & (k - 1)) % 2 == 1 : k == 1;
      s.sign[j] = odd ? -1.0 : 1.0;
    }
    double f = 0.0;
    if (!from_responses(modes) || !climb(modes, sums, f)) continue;
    keep_best(f, modes, sums);
    change_signs(f, modes, sums);
  }
}

/// Goes from a mode, f being its height, to better ones whose signs differ in all rows of a level or, where none of
/// these is better, in a single row; until it comes to where another search has been.
void JointObjective::change_signs(double f, std::vector<double>& modes, Sums& sums) {
  Several& s = *several_;
  std::vector<double> own = modes, next;
  bool better = true;
  double best = f;
  const std::function<void()> climb_on = [&] {
    double found = penalized(evaluate_rows(family::Order::step, modes), modes);
    if (!(found > f - worth_a_search) || !climb(modes, sums, found)) return;
    keep_best(found, modes, sums);
    if (!(found > best + least_gain)) return;
    best = found;
    next = modes;
    better = true;
  };
  while (better) {
    better = false;
    for (const auto& been : s.turned)
      if (!(distance_to(own, been) > same_mode)) return;
    s.turned.push_back(own);
    turn_levels(own, modes, climb_on);
    if (!better) turn_rows(own, modes, climb_on);
    if (better) own = next;
    f = best;
  }
}

/// Tries what the responses say of v when all rows of a level have the other sign than at a mode.
void JointObjective::turn_levels(const std::vector<double>& own, std::vector<double>& modes,
                                 const std::function<void()>& climb_on) {
  Several& s = *several_;
  evaluate_rows(family::Order::step, own);
  for (std::size_t j = 0; j < s.sign.size(); ++j) s.sign[j] = eta_[j] < 0.0 ? -1.0 : 1.0;
  for (int factor = 0; factor < static_cast<int>(model_.factors().size()); ++factor) {
    set_levels(factor);
    for (int level = 0; level < model_.factors()[at(factor)].n_levels; ++level) {
      const auto turn = [&] {
        for (std::size_t j = 0; j < s.sign.size(); ++j)
          if (s.level[j] == level) s.sign[j] = -s.sign[j];
      };
      turn();
      if (from_responses(modes)) climb_on();
      turn();
    }
  }
}

/// Tries, for each row whose density vanishes at zero, the move from a mode that turns the sign of its eta and costs
/// least by the curvature there.
void JointObjective::turn_rows(const std::vector<double>& own, std::vector<double>& modes,
                               const std::function<void()>& climb_on) {
  const std::vector<double> moves = moves_across(own);
  for (std::size_t first = 0; first < moves.size(); first += own.size()) {
    for (std::size_t k = 0; k < own.size(); ++k) modes[k] = own[k] + moves[first + k];
    climb_on();
  }
}

/// These moves, one after the other, without those that cost far too much.
std::vector<double> JointObjective::moves_across(const std::vector<double>& modes) {
  std::vector<double> moves;
  evaluate_rows(family::Order::step, modes);
  set_weights(true);
  if (!precision_.factor(products_, lambda_)) return moves;
  std::fill(shift_.begin(), shift_.end(), 0.0);
  for (const auto& panel : model_.panels())
    for (std::int64_t j = panel.first_row; j < panel.first_row + panel.n_rows; ++j) {
      if (!model_.family().vanishes_at_zero(data_[j])) continue;
      std::fill(step_.begin(), step_.end(), 0.0);
      shift_[at(j)] = 1.0;
      add_level_sums(model_, panel, shift_.data() + panel.first_row, step_.data());
      shift_[at(j)] = 0.0;
      transpose_scale_modes(model_, lambda_, step_.data());
      gradient_ = step_;
      precision_.solve(step_.data(), 1, static_cast<std::ptrdiff_t>(step_.size()));
      double variance = 0.0;
      for (std::size_t k = 0; k < step_.size(); ++k) variance += gradient_[k] * step_[k];
      const double length = -2.0 * eta_[at(j)] / variance;
      // What f loses, were it quadratic: the row itself loses nothing.
      const double loss = 0.5 * length * length * variance * (1.0 - weight_[at(j)] * variance);
      if (!(variance > 0.0) || loss > most_loss) continue;
      for (const double step : step_) moves.push_back(length * step);
    }
  return moves;
}

}  // namespace multilevel::likelihood
