#include "search/ascent.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "search/boundary.hpp"
#include "search/climb.hpp"
#include "search/moves.hpp"
#include "search/other_starts.hpp"
#include "search/separation.hpp"
#include "search/vanishing_residual.hpp"

namespace multilevel::search {

namespace {

constexpr double settled_gain = 1e-13;   // below it the step left moves estimates by 5e-7 standard errors at most
constexpr double rounding_gain = 1e-6;   // what may be left where the arithmetic shows no rise any more
constexpr double drift = 0.01;           // of rows that stand still, beside those that run off
constexpr double rounding = 1e-10;       // of parameters of columns of unit size
constexpr double odd = 5.0;              // of a parameter of the family, beside an ordinary one
constexpr int most_rounds = 4;           // of certifying and searching on
constexpr int most_rivals = 10;          // that were higher, one after the other
constexpr double better_plateau = 1e-4;  // where sigma vanishes: less is rounding
constexpr double rough_gain = 1e-2;
constexpr double hardly_better = 1e-4;                   // in log-likelihood
constexpr double rough_height = 3e-3;                    // the same, of where two rough searches end
constexpr int rough_iterations = 25, rough_of_few = 60;  // of few rows, where ridges are narrow, more
constexpr int short_iterations = 40;                     // for what is no better then
constexpr int many_iterations = 100;                     // a limit below is the user's wish for less
constexpr int at_an_edge = 4;                            // the share of evaluations is its inverse
constexpr int many_starts = 8;  // where as many are affordable, moves from the best optimum are too
constexpr int most_moves = 3;   // rounds of them
constexpr int most_scattered = 24, scattered_of_few = 60;
constexpr int few_scattered = 8;
// As long an evaluation takes that looks for the largest of several modes; of little data, where several maxima are
// likely, no more is allowed for than finding one of them takes.
constexpr double several_modes = 10.0, several_of_few = 3.0;
constexpr double little_data = 100.0, small_data = 1000.0;  // rows
constexpr double most_of_few = 3000.0;                      // evaluations: of few rows they cost nothing
constexpr double little_work = 5e3;                         // of an evaluation: a hundred cost nothing
constexpr double dear_work = 2e4;                           // of an evaluation
constexpr double far_below = 3.0;                           // by a coarse rule, what the finer one will not mend

/// The same point but for rounding: the one that is found again from what is reported of it. Where columns are so far
/// from zero that the user's scale has too few digits of it, the point stays.
void settle_rounding(const likelihood::Objective& objective, Optimum& optimum, const AscentOptions& options) {
  for (int round = 0; options.read_back && round < most_rounds; ++round) {
    Eigen::VectorXd again = options.read_back(optimum.psi);
    clear_zeros(objective, again);
    if (again == optimum.psi || !((again - optimum.psi).lpNorm<Eigen::Infinity>() < rounding)) break;
    optimum.psi = std::move(again);
  }
}

/// Of a search that is over.
Ending ending_of(Finding finding, const likelihood::Objective& objective, const model::Response& response,
                 const Optimum& optimum) {
  if (finding != Finding::runs_off) return Ending::converged;
  const bool moves = objective.n_beta() + objective.model().n_thresholds() > 0;
  const bool separated = moves && separates(objective.model(), response, optimum.step, drift);
  return separated ? Ending::separation : Ending::divergence;
}

/// Certifies. Where rounding hides in the value what is left, slopes still tell it: Newton steps follow, for as long as
/// each leaves less. What is left then rounding does not excuse.
Finding certify_by_slopes(likelihood::Objective& objective, Optimum& optimum, std::vector<bool>& free,
                          const AscentOptions& options, double tolerance) {
  const Finding finding = certify(objective, optimum, free, tolerance);
  if (finding != Finding::certified) return finding;
  const int most = options.newton.most_iterations == 0 ? 0 : most_rounds;
  for (int round = 0; round < most && optimum.gain > tolerance; ++round) {
    Optimum next = optimum;
    std::vector<bool> next_free;
    put_in_order(objective, next, true);
    settle_rounding(objective, next, options);
    if (next.psi == optimum.psi || certify(objective, next, next_free, tolerance) != Finding::certified ||
        !(next.gain < optimum.gain) || next.sums.value < optimum.sums.value - noise(optimum.sums))
      break;
    optimum = std::move(next);
    free = std::move(next_free);
  }
  return optimum.gain < std::max(tolerance, rounding_gain) ? finding : Finding::unmeasured;
}

/// Whether a certificate decides how a search ended. One without iterations saw no divergence: what sits at an edge had
/// none to be told from the rest.
bool judged(Ending ending, const NewtonOptions& options) {
  return worth_settling(ending) || (options.most_iterations == 0 && ending == Ending::divergence);
}

/// Certifies, and searches on where the certificate is refused.
void conclude(likelihood::Objective& objective, const model::Response& response, const AscentOptions& wanted,
              const likelihood::Monitor& monitor, Ascent& ascent) {
  Optimum& optimum = ascent.optimum;
  std::vector<bool>& free = ascent.free;
  const NewtonOptions& options = wanted.newton;
  NewtonOptions own = options;
  own.reorder = false;
  std::vector<Iteration> trace = optimum.trace;
  likelihood::AtLeisure leisure(objective, false);
  for (int round = 0;; ++round) {
    const bool converged = optimum.ending == Ending::converged;
    const bool polish =
        converged && options.most_iterations > 0 && objective.cheap_hessian() && optimum.gain > settled_gain;
    put_in_order(objective, optimum, polish);
    settle_rounding(objective, optimum, wanted);
    // Who allows no iteration asks for the verdict on a point that rounding may have kept from being better.
    const double tolerance = options.most_iterations > 0 ? options.gain_tolerance : rounding_gain;
    const double seen = optimum.sums.value;
    const Finding finding = certify_by_slopes(objective, optimum, free, wanted, tolerance);
    if (optimum.sums.value > seen + std::max(same_maximum, noise(optimum.sums))) leisure.begin();  // larger modes
    const bool settled = finding == Finding::certified || finding == Finding::runs_off;
    if (settled && judged(optimum.ending, options)) optimum.ending = ending_of(finding, objective, response, optimum);
    if (settled || !worth_settling(optimum.ending) || optimum.ending == Ending::iteration_limit) break;
    if (options.most_iterations == 0) {
      optimum.ending = Ending::iteration_limit;
      break;
    }
    if (finding == Finding::unmeasured || round == (converged ? most_rounds : 1)) {
      optimum.ending = Ending::no_increase;
      break;
    }
    // Where nothing more can be had of a gain that rounding may have made up, it is as good as none.
    const double value = optimum.sums.value;
    const bool small = optimum.gain < rounding_gain;
    const Ending ended = optimum.ending;
    std::vector<bool> all(free.size(), true);
    Optimum further = maximize(objective, response, optimum.psi, optimum.modes, all, own, monitor);
    if (has_boundaries(objective) && worth_settling(further.ending))
      settle_boundary(objective, response, further, all, own, monitor);
    trace.insert(trace.end(), further.trace.begin(), further.trace.end());
    if (!(further.sums.value > value + std::max(same_maximum, noise(optimum.sums)))) {
      if (further.sums.value >= value - noise(optimum.sums) && further.gain < optimum.gain) {
        optimum = std::move(further);
        put_in_order(objective, optimum, false);
        settle_rounding(objective, optimum, wanted);
      }
      const Finding last =
          certify_by_slopes(objective, optimum, free, wanted, small ? rounding_gain : options.gain_tolerance);
      if (last == Finding::certified || last == Finding::runs_off)
        optimum.ending = ending_of(last, objective, response, optimum);
      else
        optimum.ending = ended == Ending::converged ? Ending::no_increase : ended;
      break;
    }
    optimum = std::move(further);
  }
  if (optimum.ending == Ending::converged && (residual_vanishes(objective, optimum) || levels_off(objective, optimum)))
    optimum.ending = Ending::divergence;
  optimum.trace = std::move(trace);
}

/// Whether another start could lead to something better: not after a limit of iterations that asks for a short search,
/// nor where the data are separated.
bool may_be_bettered(Ending ending, const NewtonOptions& options) {
  return ending == Ending::converged || ending == Ending::no_increase || ending == Ending::divergence ||
         (ending == Ending::iteration_limit && options.most_iterations >= many_iterations);
}

/// Whether the quadratics promise the same end. Two maxima of one height are mirror images, or the same in other
/// coordinates.
bool same_height(const Optimum& one, const Optimum& other) {
  return one.ending == Ending::converged && other.ending == Ending::converged &&
         std::fabs(one.sums.value + one.gain - other.sums.value - other.gain) < rough_height;
}

/// In all searches from elsewhere: a second or so where an evaluation takes long, less where it does not. From places
/// that are likely to matter as many as if looking for several modes cost little.
int most_evaluations(const likelihood::Objective& objective, bool likely) {
  const bool exact = objective.has_exact_hessian(), one_mode = objective.model().family().log_concave();
  const bool little = static_cast<double>(objective.model().n_responses()) < little_data;
  // Of little data several maxima are likely, and looking for them is cheap, most of all where each mode is one.
  const double most_work = (exact ? 8e6 : 1e7) * (!little ? 1 : one_mode ? 4 : 2);
  const double longer = one_mode ? 1.0 : little || likely ? several_of_few : several_modes;
  const bool small = static_cast<double>(objective.model().n_responses()) < small_data;
  const double least = little ? 500.0 : one_mode && !exact ? 300.0 : small ? 150.0 : 60.0;
  const double most = has_few_rows(objective) ? most_of_few : one_mode ? 2000.0 : 1500.0;
  return static_cast<int>(std::clamp(most_work / (longer * (1.0 + objective.work())), least, most));
}

/// Searches from elsewhere, and keeps what is better.
class Elsewhere {
 public:
  Elsewhere(likelihood::Objective& objective, const model::Response& response, const AscentOptions& options,
            const likelihood::Monitor& monitor, Ascent& ascent)
      : objective_(objective),
        scout_(options.scout),
        response_(response),
        newton_(options.newton),
        rough_(options.newton),
        short_(options.newton),
        further_(options.newton),
        ascent_(ascent),
        before_(objective.evaluations()),
        scout_before_(scout_ ? scout_->evaluations() : 0),
        most_evaluations_(most_evaluations(objective, true) / (scout_ ? 2 : 1)),
        most_scouting_(scout_ ? most_evaluations(*scout_, true) : 0) {
    rough_.gain_tolerance = rough_gain;
    const int rough = has_few_rows(objective) ? rough_of_few : rough_iterations;
    rough_.most_iterations = std::min(rough_.most_iterations, rough);
    rough_.look_for_separation = false;
    short_.most_iterations = std::min(short_.most_iterations, short_iterations);
    quiet_.keep_going = monitor.keep_going;
  }
  ~Elsewhere() {
    ascent_.other_evaluations += objective_.evaluations() - before_;
    if (scout_) ascent_.scout_evaluations += scout_->evaluations() - scout_before_;
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;

  /// The places that are likely to matter have been looked at: others get fewer evaluations.
  void look_anywhere() { most_evaluations_ = most_evaluations(objective_, false); }

  /// True when it led to something better.
  bool from(const NamedStart& start) {
    Optimum& best = ascent_.optimum;
    // At the edge of a link's domain most searches end like the first, and take long to.
    const bool at_edge = best.ending == Ending::no_increase && objective_.work() > little_work;
    const int most = at_edge ? most_evaluations_ / at_an_edge : most_evaluations_;
    if (objective_.evaluations() - before_ > most || was_tried(start.psi)) return false;
    std::vector<bool> free;
    Eigen::VectorXd psi = start.psi;
    if (start.means_first && !follow_family(psi)) return false;
    short_.needed = further_.needed = rough_.needed = needed();
    Optimum found = look(objective_, psi, free);
    if (found.ending == Ending::no_start) return false;
    if (promising(found) && !same_place(objective_, best, found)) {
      // A rough search has a limit of its own; what it ran into is not the user's.
      found = climb(objective_, response_, Eigen::VectorXd(found.psi), found.modes, free, short_, quiet_);
      put_in_order(objective_, found, false);
      const int left = most - (objective_.evaluations() - before_);
      if (found.ending == Ending::iteration_limit && goes_on(found) && left > short_iterations) {
        further_.most_iterations = std::min(newton_.most_iterations, left);
        found = climb(objective_, response_, Eigen::VectorXd(found.psi), found.modes, free, further_, quiet_);
        put_in_order(objective_, found, false);
      }
    }
    ascent_.others.push_back({start.name, found.sums.value});
    if (found.ending == Ending::iteration_limit) found.ending = Ending::no_increase;
    // Where some rows have next to no dispersion a likelihood may rise for ever, or its approximation.
    if (start.means_first && found.ending != Ending::converged && best.ending == Ending::converged) return false;
    const double gained = found.sums.value - best.sums.value;
    if (found.ending == Ending::converged && gained <= 0.0) ascent_.ends.push_back({found.sums.value, found.psi});
    const bool sound = found.ending == Ending::converged && best.ending != Ending::converged && gained > -same_maximum;
    if (!(gained > (found.ending == Ending::divergence ? better_plateau : same_maximum)) && !sound) return false;
    if (best.ending == Ending::converged) ascent_.ends.push_back({best.sums.value, best.psi});
    best = std::move(found);
    ascent_.free = free;
    return true;
  }

  /// The same, where the scout finds a place that it has not seen.
  bool scouting_from(const NamedStart& start) {
    if (scout_->evaluations() - scout_before_ > most_scouting_) return false;
    std::vector<bool> free;
    rough_.needed = -std::numeric_limits<double>::infinity();
    for (const auto& other : seen_) rough_.needed = std::max(rough_.needed, other.sums.value - far_below);
    Optimum found = look(*scout_, start.psi, free);
    if (found.ending == Ending::no_start || !found.psi.allFinite()) return false;
    const bool seen = std::any_of(seen_.begin(), seen_.end(), [&](const Optimum& other) {
      return other.sums.value - found.sums.value > far_below || same_height(other, found) ||
             same_place(*scout_, other, found);
    });
    if (seen) return false;
    const NamedStart there{start.name, found.psi};
    seen_.push_back(std::move(found));
    return from(there);
  }

 private:
  /// Less is of no use: a higher maximum is, or one where the best is none.
  double needed() const {
    const Optimum& best = ascent_.optimum;
    return best.sums.value + (best.ending == Ending::converged ? same_maximum : -same_maximum);
  }

  /// The same start leads to the same end.
  bool was_tried(const Eigen::VectorXd& start) {
    const bool tried = std::find(tried_.begin(), tried_.end(), start) != tried_.end();
    if (!tried) tried_.push_back(start);
    return tried;
  }

  /// Moves what is not the family's to where it is best with that held. False where that leads nowhere.
  bool follow_family(Eigen::VectorXd& psi) {
    std::vector<bool> free(static_cast<std::size_t>(psi.size()), true);
    const int first = objective_.n_beta() + objective_.n_theta();
    const auto& model = objective_.model();
    for (auto r = static_cast<std::size_t>(model.n_threshold_parts()); r < model.phi_parts().size(); ++r)
      for (int k = model.phi_parts()[r].first; k < model.phi_parts()[r].last; ++k)
        free[static_cast<std::size_t>(first + k)] = false;
    rough_.needed = -std::numeric_limits<double>::infinity();
    objective_.layout().reset_order();
    const std::vector<double> none(ascent_.optimum.modes.size(), 0.0);
    const Optimum followed = maximize(objective_, response_, psi, none, free, rough_, quiet_);
    psi = followed.psi;
    return followed.ending != Ending::no_start && psi.allFinite();
  }

  /// A rough search.
  Optimum look(likelihood::Objective& objective, const Eigen::VectorXd& start, std::vector<bool>& free) {
    free.assign(ascent_.free.size(), true);
    objective.layout().reset_order();
    const std::vector<double> none(ascent_.optimum.modes.size(), 0.0);
    Optimum found = maximize(objective, response_, start, none, free, rough_, quiet_);
    if (found.ending != Ending::no_start) put_in_order(objective, found, false);
    return found;
  }

  /// Whether a search may end above the best: one that converged knows what is left.
  bool promising(const Optimum& found) const {
    if (!may_be_bettered(found.ending, newton_) && found.ending != Ending::iteration_limit) return false;
    const double most =
        found.ending == Ending::converged ? 4.0 * found.gain + hardly_better : 10.0 * found.gain + hopeless;
    return found.sums.value + most > ascent_.optimum.sums.value;
  }

  /// Whether a long search that has not arrived has more to find than the best one, not the same ridge again.
  bool goes_on(const Optimum& found) const {
    return promising(found) && found.sums.value + 10.0 * found.gain > ascent_.optimum.sums.value + rough_height;
  }

  likelihood::Objective& objective_;
  likelihood::Objective* scout_;
  const model::Response& response_;
  const NewtonOptions& newton_;
  NewtonOptions rough_, short_, further_;
  Ascent& ascent_;
  likelihood::Monitor quiet_;
  int before_, scout_before_, most_evaluations_, most_scouting_;
  std::vector<Eigen::VectorXd> tried_;  ///< starts
  std::vector<Optimum> seen_;           ///< by the scout
};

/// From where anything looks odd: the places that are known to matter, then as many as the size of the data allows.
void search_elsewhere(likelihood::Objective& objective, const model::Response& response, const AscentOptions& options,
                      const likelihood::Monitor& monitor, Ascent& ascent, int most) {
  auto& best = ascent.optimum;
  Elsewhere search(objective, response, options, monitor, ascent);
  const Eigen::VectorXd plain = options.plain_start();
  if (plain.size() == 0) return;
  std::vector<NamedStart> starts = other_starts(objective, plain);
  if (const auto at = objective.n_beta() + objective.n_theta(); objective.n_phi() > 0 && options.ordinary_start) {
    const Eigen::VectorXd ordinary = options.ordinary_start();
    if (ordinary.size() == plain.size() && (ordinary - plain).tail(plain.size() - at).lpNorm<Eigen::Infinity>() > odd)
      starts.insert(starts.begin(), {"from ordinary values", ordinary});
  }
  const bool many = most >= many_starts;
  if (!many && static_cast<int>(starts.size()) > most) starts.resize(static_cast<std::size_t>(most));
  const bool linear = objective.model().is_linear();
  const double unit = unit_of_level(objective.model(), response);
  const bool fixed = objective.n_theta() == 0;  // nothing but coefficients and the family's parameters
  const bool far = objective.model().family().far_modes();
  const int n_scattered = fixed && !far             ? few_scattered
                          : !linear                 ? (has_few_rows(objective) ? scattered_of_few : most_scattered)
                          : objective.n_theta() > 2 ? few_scattered
                                                    : 0;
  const std::vector<NamedStart> anywhere = scattered(objective, best.psi, plain, unit, n_scattered);
  const auto first = anywhere.begin(), middle = first + n_scattered / 3, last = anywhere.end();
  // In turn: neither kind may use up what the other needs.
  std::vector<NamedStart> likely = many ? likely_moves(objective, best.psi, plain, unit) : std::vector<NamedStart>();
  for (std::size_t k = 0, from = 0; k < std::max(from + likely.size(), starts.size()); ++k) {
    // What led to a better one may do so again from there.
    if (k - from < likely.size() && search.from(likely[k - from])) {
      likely = likely_moves(objective, best.psi, plain, unit);
      from = k + 1;
    }
    if (k < starts.size() && !options.scout) search.from(starts[k]);
  }
  search.look_anywhere();
  // The finer rule follows what the coarse one finds, and has half of its evaluations for the likely places. Where it
  // is dear that is all.
  if (options.scout) {
    search.scouting_from({"from the best", best.psi});
    for (const auto& other : starts) search.scouting_from(other);
    for (auto other = first; other != middle; ++other) search.scouting_from(*other);
    for (const auto& move : moves(objective, best.psi, plain)) search.scouting_from(move);
    for (auto other = middle; other != last; ++other) search.scouting_from(*other);
    if (objective.work() > dear_work) return;
    for (const auto& other : starts) search.from(other);
  }
  for (auto other = first; many && other != middle; ++other) search.from(*other);
  // From the best one, with other variances, or another dispersion, as long as that helps.
  bool bettered = many;
  for (int round = 0; bettered && round < most_moves; ++round) {
    bettered = false;
    const Eigen::VectorXd from = residual_vanishes(objective, best) ? with_a_residual(objective, best.psi) : best.psi;
    for (const auto& move : moves(objective, from, plain))
      if (search.from(move)) bettered = true;
  }
  for (auto other = middle; many && other != last; ++other) search.from(*other);
}

/// Where the family knows of other maxima, as long as one of them is better.
void search_other_places(likelihood::Objective& objective, const model::Response& response,
                         const AscentOptions& options, const likelihood::Monitor& monitor, Ascent& ascent) {
  const auto& model = objective.model();
  const auto& parts = model.phi_parts();
  const int first = objective.n_beta() + objective.n_theta();
  std::vector<double> phi(parts.size(), std::numeric_limits<double>::quiet_NaN());
  bool bettered = true;
  for (int round = 0; bettered && round < most_rounds; ++round) {
    bettered = false;
    for (std::size_t r = 0; r < parts.size(); ++r)
      if (parts[r].first < parts[r].last) phi[r] = ascent.optimum.psi[first + parts[r].first];
    const auto places = model.family().other_places(phi.data());
    if (places.empty()) return;
    if (round == 0) {
      put_in_order(objective, ascent.optimum, false);
      certify(objective, ascent.optimum, ascent.free, options.newton.gain_tolerance);
    }
    Elsewhere search(objective, response, options, monitor, ascent);
    // A search that has lost its way says little of the other parameters.
    const bool lost = ascent.optimum.ending != Ending::converged;
    const bool formulas = std::any_of(parts.begin(), parts.end(), [](const auto& part) { return !part.constant; });
    const Eigen::VectorXd plain = lost || formulas ? options.plain_start() : Eigen::VectorXd();
    const Eigen::VectorXd from = lost && plain.size() > 0 ? plain : ascent.optimum.psi;
    for (const auto& place : places) {
      NamedStart start{"where the family may have another maximum", from};
      std::size_t moved = 0;
      for (std::size_t r = 0; r < place.size(); ++r) {
        if (parts[r].first == parts[r].last) continue;
        start.psi[first + parts[r].first] = place[r];
        if (place[r] != phi[r]) moved = r;
      }
      if (search.from(start)) bettered = true;
      if (plain.size() > 0 && begin_formulas_anew(objective, plain, moved, start.psi) && search.from(start))
        bettered = true;
    }
  }
}

}  // namespace

Ascent ascend(likelihood::Objective& objective, const model::Response& response, const Eigen::VectorXd& start,
              std::vector<double> modes, const AscentOptions& options, const likelihood::Monitor& monitor) {
  Ascent ascent;
  auto& best = ascent.optimum;
  NewtonOptions first = options.newton;
  first.hessian_later = true;
  best = climb(objective, response, start, std::move(modes), ascent.free, first, monitor);
  if (best.ending == Ending::no_start) return ascent;
  const bool one_maximum = !has_boundaries(objective) && !objective.model().family().far_modes();
  const bool restarts = options.restarts && !one_maximum && may_be_bettered(best.ending, options.newton);
  const int most = restarts ? affordable_starts(objective) : 0;
  if (most > 0 && (best.sums.value < options.floor || looks_odd(objective, best, ascent.free))) {
    put_in_order(objective, best, false);
    certify(objective, best, ascent.free, options.newton.gain_tolerance);
    search_elsewhere(objective, response, options, monitor, ascent, most);
  }
  if (restarts && objective.n_phi() > 0 && !objective.model().is_linear())
    search_other_places(objective, response, options, monitor, ascent);
  conclude(objective, response, options, monitor, ascent);
  const int before = objective.evaluations();
  likelihood::Monitor quiet;
  quiet.keep_going = monitor.keep_going;
  for (int round = 0;
       most >= many_starts && best.ending == Ending::converged && round < most_rivals &&
       find_rivals(objective, response, options.newton, quiet, ascent.ends, best, ascent.free, ascent.rivals);
       ++round)
    conclude(objective, response, options, monitor, ascent);
  ascent.other_evaluations += objective.evaluations() - before;
  return ascent;
}

}  // namespace multilevel::search
