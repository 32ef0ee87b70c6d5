#include "search/newton.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "search/diverging.hpp"
#include "search/separation.hpp"
#include "search/steps.hpp"
#include "search/vanishing_residual.hpp"

namespace multilevel::search {

namespace {

constexpr double far_parameter = 5.0;     // the logarithm of one that may be on its way to its limit
constexpr double small_deviation = 0.05;  // beside the term's size or the residual's: zero is worth a try
constexpr double rough = 1e-6;            // a tolerance above it asks for no certificate
constexpr int stalls_without_hessian = 2, most_help = 3;
constexpr double stalled_share = 0.01;
constexpr int few_iterations = 8;  // that show a search's pace
constexpr int poor_steps = 2;
constexpr double poor_share = 0.1;
constexpr int most_stalls = 5;         // iterations in a row that gain less than that share of what was predicted
constexpr double longest_fall = 15.0;  // of the logarithm of a dispersion below its start: nothing is left of it
constexpr double exact_fall = 6.0;     // the same, where no further step can be had
// One Newton step may be trusted to lead from a gain below the first to one below the second, if the last step showed
// as much, and from one below the third in any case.
constexpr double near_by = 1e-3, nothing_left = 1e-13, hardly_more = 1e-7;
// The same of a start that Newton's method has led to.
constexpr double near_start = 1e-6;
// The same of a search that has no Hessian: how fast it is, the last step has shown; beside what ends it.
constexpr double well_below = 0.1;
constexpr double informed = 1.0;  // on a parameter of the family, most of which are logarithms: far from its limit
constexpr std::array off_level{0.3, 0.1, 0.03, 0.01, 0.003, 0.001};  // of a parameter, from where it leaves all level
constexpr double smaller = 0.3, least_effects = 2e-4;  // random effects at a start, beside what was asked for

class Search : Steps {
 public:
  Search(likelihood::Objective& objective, const model::Response& response, const std::vector<bool>& free,
         const NewtonOptions& options, const likelihood::Monitor& monitor)
      : Steps(objective, free, options), response_(response), given_(free), monitor_(monitor) {}

  Optimum run(const Eigen::VectorXd& start, std::vector<double> modes) {
    if (!begin(start, std::move(modes))) {
      best_.ending = Ending::no_start;
      return best_;
    }
    std::string how = "start";
    for (int iteration = 0;; ++iteration) {
      View view = look();
      // The end is judged by the Hessian itself, sooner or later.
      const bool later = hessian_may_follow(view, how);
      if (!exact_ && !later &&
          (best_.gain < std::max(objective_.near_enough(), noise(best_.sums)) ||
           iteration >= options_.most_iterations || iteration % 15 == 14)) {
        if (!make_exact()) {
          best_.ending = Ending::no_increase;
          return best_;
        }
        view = look();
      }
      best_.trace.push_back({best_.sums.value, best_.gain, how});
      if (monitor_.report) monitor_.report(iteration, best_.sums.value, best_.gain);

      const double tolerance = gain_tolerance();
      if (!bounds_.empty() && iteration < options_.most_iterations &&
          meets_bounds(view.concave && best_.gain < tolerance)) {
        how = "bound";
        continue;
      }
      if (runs_away(iteration, view.concave, tolerance, view.information)) return best_;
      if (view.concave && (later || best_.gain < tolerance || one_step_is_enough(how))) {
        if (leaves_level(iteration)) {
          how = "level";
          continue;
        }
        best_.ending = Ending::converged;
        best_.step_left = later && !(best_.gain < tolerance);
        return best_;
      }
      if (out_of_reach()) {
        best_.ending = Ending::out_of_reach;
        return best_;
      }
      if (iteration >= options_.most_iterations) {
        best_.ending = Ending::iteration_limit;
        return best_;
      }
      if (helps_to_see_the_hessian()) {
        how = "exact";
        continue;
      }
      if (stalls_ >= most_stalls) {
        best_.ending = dispersion_fell(exact_fall) ? Ending::exact_fit : Ending::no_increase;
        return best_;
      }
      how = advance(view);
      if (how.empty()) {
        // What is left may be below what the arithmetic can show.
        best_.ending = view.concave && best_.gain < 1e-6 ? Ending::converged : Ending::no_increase;
        return best_;
      }
    }
  }

 private:
  /// The best point as the quadratic sees it.
  struct View {
    Eigen::VectorXd gradient;  ///< zero where parameters are held
    ScaledInformation information;
    bool concave;
  };

  bool begin(const Eigen::VectorXd& start, std::vector<double> modes) {
    best_.psi = start;
    bounds_.project(best_.psi);
    best_.modes = std::move(modes);
    best_.step = Eigen::VectorXd::Zero(start.size());
    const bool wanted = n_theta_ > 0 && options_.mode_covariance;
    const auto size = static_cast<std::size_t>(wanted ? model_.n_mode_covariances() : 0);
    best_.mode_covariance.resize(size);
    trial_covariance_.resize(size);
    if (!evaluate_start()) return false;
    // That of one is an ordinary size: a start far above it says more of the start than of what is left.
    first_log_dispersion_ = std::min(log_dispersion(), 0.0);
    exact_ = objective_.has_exact_hessian();
    return true;
  }

  View look() {
    View view{best_.sums.gradient, ScaledInformation(best_.sums.hessian, free_), false};
    for (std::size_t i = 0; i < free_.size(); ++i)
      if (!free_[i]) view.gradient[static_cast<Eigen::Index>(i)] = 0.0;
    view.concave = take_measure(view.information, view.gradient);
    return view;
  }

  /// Where the Hessian is not known yet the gain is not, either.
  double gain_tolerance() const {
    const double own = exact_ || options_.gain_tolerance > rough
                           ? options_.gain_tolerance
                           : std::min(options_.gain_tolerance, objective_.near_enough());
    return std::max(own, noise(best_.sums));
  }

  /// Counts iterations that creep along the edge of a link's domain, where the quadratic promises what is never had.
  /// Where it rests on Fisher information, which near a zero variance promises anything, the Hessian itself is made;
  /// then true.
  bool helps_to_see_the_hessian() {
    const auto& trace = best_.trace;
    const auto n = trace.size();
    const double gained = n > 1 ? trace[n - 1].value - trace[n - 2].value : 1.0;
    const double least = trace[n - 1].step == "curvature" ? poor_share : stalled_share;
    stalls_ = gained < 0.1 && gained < least * trace[n - 2].gain ? stalls_ + 1 : 0;
    if (exact_ || stalls_ < stalls_without_hessian || helped_ >= most_help || !make_exact()) return false;
    ++helped_;
    stalls_ = 0;
    return true;
  }

  /// Whether what is needed is too far off for the pace of the last iterations. What the quadratic promises says little
  /// of that where a search creeps.
  bool out_of_reach() const {
    const auto& trace = best_.trace;
    if (!(best_.sums.value < options_.needed) || trace.size() <= few_iterations) return false;
    double pace = 0.0;
    for (auto n = trace.size() - few_iterations; n < trace.size(); ++n)
      pace = std::max(pace, trace[n].value - trace[n - 1].value);
    return options_.needed - best_.sums.value > options_.foresight * pace;
  }

  /// Whether the last Fisher steps had little of what the Hessian says is left.
  bool creeps() const {
    const auto& trace = best_.trace;
    auto n = trace.size();
    int poor = 0;
    for (; n > 1 && poor < poor_steps && trace[n - 1].step == "fisher"; --n, ++poor)
      if (!(trace[n - 1].value - trace[n - 2].value < poor_share * trace[n - 2].gain)) break;
    return exact_ && poor >= poor_steps;
  }

  /// The first kind of step that leads higher, by name; empty if none does.
  std::string advance(const View& view) {
    if (view.concave && try_leap()) return "leap";
    if (!exact_ && n_theta_ > 0 && best_.gain > far_away && try_fisher(view.gradient)) return "fisher";
    if (view.concave && moderate(best_.step) && try_line(best_.step, view.gradient)) return "newton";
    const bool creeping = creeps();
    if (creeping && try_trust(view.information, view.gradient)) return "trust";
    if (n_theta_ > 0 && best_.gain > 1e-6 && try_fisher(view.gradient)) return "fisher";
    if (!creeping && try_trust(view.information, view.gradient)) return "trust";
    if (!view.concave && try_curvature(view.information)) return "curvature";
    if (!exact_ && make_exact()) return "exact";  // the same point, seen with its own Hessian
    return "";
  }

  /// Newton step and predicted gain at the best point; whether the log-likelihood is concave there.
  bool take_measure(const ScaledInformation& information, const Eigen::VectorXd& gradient) {
    const bool concave = information.values.size() == 0 || information.values.minCoeff() > -negative_curvature;
    best_.step = information.solve(gradient, !concave);
    best_.gain = 0.5 * gradient.dot(best_.step);
    return concave;
  }

  /// Newton's method squares what is left; how fast, the last step has shown. Near a boundary the maximum itself is
  /// needed, to be compared with the point there.
  bool one_step_is_enough(const std::string& how) const {
    if (!options_.last_step_later || !exact_ || best_.gain > near_by || near_boundary()) return false;
    if (how == "start") return options_.starts_near && best_.gain < near_start && moderate(best_.step);
    const auto n = best_.trace.size();
    if (how != "newton" || n < 2) return false;
    const double ratio = best_.gain / best_.trace[n - 2].gain;
    return (best_.gain * ratio * ratio < nothing_left || best_.gain < hardly_more) && moderate(best_.step);
  }

  /// Whether the search has arrived, or will with the step it has, where the certificate is not expected to find
  /// anything but a maximum: then that alone makes the Hessian, which costs more than all of the search.
  bool hessian_may_follow(const View& view, const std::string& how) const {
    if (!options_.hessian_later || exact_ || options_.most_iterations == 0) return false;
    if (!view.concave || !(best_.gain < hardly_more)) return false;
    if (!bounds_.levels().empty() || near_boundary()) return false;
    for (const auto& limit : bounds_.limits())
      if (!(-best_.sums.hessian(limit.position, limit.position) > informed)) return false;
    const double enough = objective_.near_enough();
    if (best_.gain < enough) return true;
    const auto n = best_.trace.size();
    if (how != "newton" || n < 2 || objective_.layout().is_permuted()) return false;
    // The trace does not have this point yet.
    const double ratio = best_.gain / best_.trace[n - 1].gain;
    return best_.gain * ratio < well_below * enough && moderate(best_.step);
  }

  bool near_boundary() const {
    for (std::size_t t = 0; t < model_.terms().size() && n_theta_ > 0; ++t) {
      const auto& structure = *model_.terms()[t].structure;
      if (structure.kind() == covariance::Kind::scaled || structure.kind() == covariance::Kind::confirmatory)
        return true;
      const Eigen::MatrixXd factor = objective_.layout().term_factor(static_cast<int>(t), best_.psi.data() + p_);
      if (structure.has_loadings()) {
        // Columns without loadings are zero by definition.
        double least = std::numeric_limits<double>::infinity();
        for (const auto& entry : structure.entries(model_.terms()[t].q))
          least = std::min(least, factor.col(entry.column).norm());
        if (least < small_deviation * std::max(factor.norm(), unit())) return true;
        continue;
      }
      if (factor.diagonal().cwiseAbs().minCoeff() < small_deviation * std::max(factor.norm(), unit())) return true;
    }
    for (const auto& limit : bounds_.limits())
      if (limit.outwards(best_.psi) > far_parameter) return true;
    return false;
  }

  bool make_exact() {
    exact_ = objective_.differentiate(best_.psi, best_.modes, best_.sums);
    if (exact_) best_.differentiated = best_.psi;
    return exact_;
  }

  /// Random effects that are too large to begin with can leave a link's domain: smaller ones do not. Who allows no
  /// iteration asks about this point and no other.
  bool evaluate_start() {
    const Eigen::VectorXd start = best_.psi;
    if (evaluate_with(start, 1.0)) return true;
    if (n_theta_ == 0 || options_.most_iterations == 0 || !evaluate_with(start, least_effects)) return false;
    for (double size = smaller; size > least_effects; size *= smaller)
      if (evaluate_with(start, size)) return true;
    return evaluate_with(start, least_effects);
  }

  /// The start with random effects of another size.
  bool evaluate_with(const Eigen::VectorXd& start, double size) {
    best_.psi = start;
    best_.psi.segment(p_, n_theta_) *= size;
    std::vector<double> modes = best_.modes;
    if (!objective_.evaluate(best_.psi, modes, best_.sums, covariance(best_.mode_covariance))) return false;
    best_.modes = std::move(modes);
    return true;
  }

  bool dispersion_fell(double fall) const { return log_dispersion() < first_log_dispersion_ - fall; }

  /// Of the standard deviation that the family leaves to a response; where there are several, the least.
  double log_dispersion() const {
    if (n_phi_ == 0) return best_.sums.log_dispersion;
    const family::Family& family = model_.family();
    if (family.n_members() == 1) return 0.5 * std::log(family.dispersion(best_.psi.data() + p_ + n_theta_));
    double least = std::numeric_limits<double>::infinity();
    for (int kind = 0; kind < family.n_members(); ++kind)
      least = std::min(least, 0.5 * std::log(dispersion_of(objective_, best_.psi, kind)));
    return least;
  }

  /// The maximum is at infinity. Every sign of it is measured: a step that stays long while the gain vanishes, standard
  /// errors out of all proportion to columns of unit size, a dispersion that falls without end.
  bool runs_away(int iteration, bool concave, double tolerance, const ScaledInformation& information) {
    if (dispersion_fell(longest_fall)) {
      best_.ending = Ending::exact_fit;
      return true;
    }
    if (residual_vanishes(objective_, best_)) {
      best_.ending = Ending::divergence;
      return true;
    }
    if (!options_.look_for_separation) return false;
    double beta_step = p_ > 0 ? best_.step.head(p_).cwiseAbs().maxCoeff() : 0.0;
    const int n_thresholds = model_.n_thresholds(), first_threshold = p_ + n_theta_;
    if (n_thresholds > 0)
      beta_step = std::max(beta_step, best_.step.segment(first_threshold, n_thresholds).cwiseAbs().maxCoeff());
    const bool settled = best_.gain < tolerance;
    bool suspect = iteration >= options_.patience && beta_step > 0.3;
    suspect |= concave && best_.gain < 1e-6 && beta_step > 1e-4;
    if (concave && settled && p_ + n_thresholds > 0) {
      const Eigen::VectorXd spread = information.inverse(static_cast<int>(best_.psi.size())).diagonal();
      suspect |= p_ > 0 && !(spread.head(p_).maxCoeff() < 400.0);
      suspect |= n_thresholds > 0 && !(spread.segment(first_threshold, n_thresholds).maxCoeff() < 400.0);
    }
    if (suspect && p_ + n_thresholds > 0) {
      const double drift = best_.gain < 1e-3 || iteration >= 12 ? 0.01 : 1e-6;
      if (separates(model_, response_, best_.step, drift) || separates(model_, response_, best_.psi, 1e-9)) {
        best_.ending = Ending::separation;
        return true;
      }
    }
    if (concave && diverges(objective_, best_, tolerance)) {
      best_.ending = Ending::divergence;
      return true;
    }
    return false;
  }

  /// Holds what has reached the end of its range: a small standard deviation whose Newton step leads below zero, a tau
  /// far out that is on its way to infinity, if the end is no worse. At a maximum among the others (`settled`) what
  /// wants to come back is let go. True when psi or what is free has changed.
  bool meets_bounds(bool settled) {
    if (mark_held()) return true;
    const double size = std::max(bounds_.without_tau(best_.psi, n_theta_).norm(), unit());
    auto try_at = [&](int i, double value, double least) {
      Eigen::VectorXd psi = best_.psi;
      psi[i] = value;
      if (!try_point(psi, least, true)) return false;
      mark_held();
      return true;
    };
    for (const int i : bounds_.positive()) {
      const double now = best_.psi[i];
      if (free_[static_cast<std::size_t>(i)] && now > 0.0 && now < small_deviation * size &&
          now + best_.step[i] <= 0.0 && try_at(i, 0.0, best_.sums.value))
        return true;
    }
    for (const auto& limit : bounds_.limits()) {
      const int i = limit.position;
      if (free_[static_cast<std::size_t>(i)] && limit.outwards(best_.psi) > far_parameter &&
          limit.outwards(best_.step) > 0.3 && try_at(i, limit.value, best_.sums.value))
        return true;
    }
    for (const int i : bounds_.correlations()) {
      const double now = best_.psi[i], outwards = best_.step[i] * std::copysign(1.0, now);
      if (free_[static_cast<std::size_t>(i)] && std::fabs(now) > far_tau && outwards > 0.3 &&
          try_at(i, std::copysign(largest_tau, now), best_.sums.value))
        return true;
    }
    if (!settled) return false;
    const double better = best_.sums.value + options_.gain_tolerance;
    released_.resize(free_.size(), false);
    auto may_come_back = [&](int i) {
      const auto at = static_cast<std::size_t>(i);
      return given_[at] && !free_[at] && !released_[at];
    };
    for (const int i : bounds_.positive()) {
      if (!may_come_back(i)) continue;
      const double slope = best_.sums.gradient[i], curvature = std::max(best_.sums.hessian(i, i), 0.0);
      for (double rise = 0.3 * size; slope * rise + 0.5 * curvature * rise * rise > options_.gain_tolerance;
           rise *= 0.2)
        if (try_at(i, rise, better)) return released_[static_cast<std::size_t>(i)] = true;
    }
    for (const int i : bounds_.correlations()) {
      const double now = best_.psi[i];
      if (!may_come_back(i) || std::fabs(now) < largest_tau || best_.sums.gradient[i] * now >= 0.0) continue;
      for (const double nearer : {2.0, 3.0, 4.0, 6.0, 8.0})
        if (try_at(i, std::copysign(nearer, now), better)) return released_[static_cast<std::size_t>(i)] = true;
    }
    for (const auto& limit : bounds_.limits()) {
      if (!may_come_back(limit.position) || !limit.reached(best_.psi)) continue;
      for (const double nearer : inside_limit)
        if (limit.inside(nearer) && try_at(limit.position, limit.side * nearer, better))
          return released_[static_cast<std::size_t>(limit.position)] = true;
    }
    return false;
  }

  /// From where every likelihood is level, and rises all the same: to the side to which the slope points, or the other.
  bool leaves_level(int iteration) {
    if (iteration >= options_.most_iterations) return false;
    for (const auto& level : bounds_.levels()) {
      const int i = level.position;
      if (!free_[static_cast<std::size_t>(i)] || !level.holds(best_.psi)) continue;
      const double side = std::copysign(1.0, best_.sums.gradient[i]), value = best_.sums.value + same_maximum;
      for (const double off : off_level) {
        Eigen::VectorXd psi = best_.psi;
        for (const double sign : {side, -side}) {
          psi[i] = sign * off;
          if (try_point(psi, value, true)) return true;
        }
      }
    }
    return false;
  }

  /// True when that changes what is free.
  bool mark_held() {
    std::vector<bool> free = given_;
    bounds_.mark_held(best_.psi, free);
    const bool changed = free != free_;
    free_ = std::move(free);
    return changed;
  }

  const model::Response& response_;
  const std::vector<bool>& given_;  ///< what the caller leaves free
  const likelihood::Monitor& monitor_;
  std::vector<bool> released_;  ///< standard deviations and tau that have come back from their end once
  double first_log_dispersion_ = 0.0;
  int stalls_ = 0, helped_ = 0;
};

}  // namespace

double noise(const likelihood::Sums& sums) {
  return 4.0 * std::numeric_limits<double>::epsilon() * (1.0 + sums.log_likelihood.magnitude());
}

Optimum maximize(likelihood::Objective& objective, const model::Response& response, const Eigen::VectorXd& start,
                 std::vector<double> modes, const std::vector<bool>& free, const NewtonOptions& options,
                 const likelihood::Monitor& monitor) {
  return Search(objective, response, free, options, monitor).run(start, std::move(modes));
}

}  // namespace multilevel::search
