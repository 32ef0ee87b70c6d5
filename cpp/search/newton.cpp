#include "search/newton.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "search/bounds.hpp"
#include "search/covariance_step.hpp"
#include "search/separation.hpp"
#include "search/trust_region.hpp"
#include "search/vanishing_residual.hpp"

namespace multilevel::search {

namespace {

// Of beta, on the scale of eta: columns have a root mean square near one. Where the link is that of a mean itself eta
// has the size of the response, and steps are compared with beta.
constexpr double largest_beta_step = 4.0, largest_beta_share = 0.5;
constexpr double far_away = 0.5;          // predicted gain above which Fisher information is made anew
constexpr double far_parameter = 5.0;     // the logarithm of one that may be on its way to its limit
constexpr double small_deviation = 0.05;  // beside the term's size or the residual's: zero is worth a try
constexpr double least_share = 0.1;       // of the gain that a step promises: less, and the next kind of step is tried
constexpr double enough = 1.0;            // but this much is always enough
constexpr double rough = 1e-6;            // a tolerance above it asks for no certificate
constexpr int most_shortenings = 15;
constexpr double smallest_radius = 1e-7;  // of the trust region, in standard errors
constexpr int stalls_without_hessian = 2, most_help = 3;
constexpr double stalled_share = 0.01;
constexpr int poor_steps = 2;
constexpr double poor_share = 0.1;
constexpr int most_stalls = 5;         // iterations in a row that gain less than that share of what was predicted
constexpr double longest_fall = 15.0;  // of the logarithm of a dispersion below its start: nothing is left of it
constexpr double exact_fall = 6.0;     // the same, where no further step can be had
// One Newton step may be trusted to lead from a gain below the first to one below the second, if the last step showed
// as much, and from one below the third in any case.
constexpr double near_by = 1e-3, nothing_left = 1e-13, hardly_more = 1e-7;
constexpr double leap = 10.0, leap_from = 2.0, farthest_leap = 2e3;  // of theta beside sigma

class Search {
 public:
  Search(likelihood::Objective& objective, const model::Response& response, const std::vector<bool>& free,
         const NewtonOptions& options, const likelihood::Monitor& monitor)
      : objective_(objective),
        model_(objective.model()),
        response_(response),
        given_(free),
        free_(free),
        options_(options),
        monitor_(monitor),
        p_(objective.n_beta()),
        n_theta_(objective.n_theta()),
        n_phi_(objective.n_phi()),
        bounds_(objective),
        all_free_(std::find(free.begin(), free.end(), false) == free.end()) {}

  Optimum run(const Eigen::VectorXd& start, std::vector<double> modes) {
    if (!begin(start, std::move(modes))) {
      best_.ending = Ending::no_start;
      return best_;
    }
    std::string how = "start";
    for (int iteration = 0;; ++iteration) {
      View view = look();
      // The end is judged by the Hessian itself.
      if (!exact_ && (best_.gain < std::max(objective_.near_enough(), noise(best_.sums)) ||
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
      if (view.concave && (best_.gain < tolerance || one_step_is_enough(how))) {
        best_.ending = Ending::converged;
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
    const auto size = static_cast<std::size_t>(n_theta_ > 0 ? model_.n_mode_covariances() : 0);
    best_.mode_covariance.resize(size);
    trial_covariance_.resize(size);
    if (!evaluate_start()) return false;
    first_log_dispersion_ = log_dispersion();
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
    stalls_ = gained < 0.1 && gained < stalled_share * trace[n - 2].gain ? stalls_ + 1 : 0;
    if (exact_ || stalls_ < stalls_without_hessian || helped_ >= most_help || !make_exact()) return false;
    ++helped_;
    stalls_ = 0;
    return true;
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
    const auto n = best_.trace.size();
    if (!options_.last_step_later || !exact_ || how != "newton" || n < 2 || best_.gain > near_by) return false;
    const double ratio = best_.gain / best_.trace[n - 2].gain;
    return (best_.gain * ratio * ratio < nothing_left || best_.gain < hardly_more) && moderate(best_.step) &&
           !near_boundary();
  }

  bool near_boundary() const {
    for (std::size_t t = 0; t < model_.terms().size() && n_theta_ > 0; ++t) {
      const auto kind = model_.terms()[t].structure->kind();
      if (kind == covariance::Kind::scaled || kind == covariance::Kind::loadings) return true;
      const Eigen::MatrixXd factor = objective_.layout().term_factor(static_cast<int>(t), best_.psi.data() + p_);
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

  /// Random effects that are too large to begin with can leave a link's domain: smaller ones do not.
  bool evaluate_start() {
    for (int i = 0; i < 8; ++i) {
      std::vector<double> modes = best_.modes;
      if (objective_.evaluate(best_.psi, modes, best_.sums, covariance(best_.mode_covariance))) {
        best_.modes = std::move(modes);
        return true;
      }
      if (n_theta_ == 0) return false;
      best_.psi.segment(p_, n_theta_) *= 0.3;
    }
    return false;
  }

  bool dispersion_fell(double fall) const { return log_dispersion() < first_log_dispersion_ - fall; }

  /// Of the standard deviation that the family leaves to a response.
  double log_dispersion() const {
    if (n_phi_ == 0) return best_.sums.log_dispersion;
    return 0.5 * std::log(model_.family().dispersion(best_.psi.data() + p_ + n_theta_));
  }

  static double* covariance(std::vector<double>& values) { return values.empty() ? nullptr : values.data(); }

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
    const double beta_step = p_ > 0 ? best_.step.head(p_).cwiseAbs().maxCoeff() : 0.0;
    const bool settled = best_.gain < tolerance;
    bool suspect = iteration >= options_.patience && beta_step > 0.3;
    suspect |= concave && best_.gain < 1e-6 && beta_step > 1e-4;
    suspect |= concave && settled && p_ > 0 &&
               !(information.inverse(static_cast<int>(best_.psi.size())).diagonal().head(p_).maxCoeff() < 400.0);
    if (suspect && p_ > 0) {
      const double drift = best_.gain < 1e-3 || iteration >= 12 ? 0.01 : 1e-6;
      if (separates(model_, response_, best_.step.head(p_), drift) ||
          separates(model_, response_, best_.psi.head(p_), 1e-9)) {
        best_.ending = Ending::separation;
        return true;
      }
    }
    if (!concave) return false;
    // A tau that grows for ever is a correlation that has reached its end.
    const double theta = n_theta_ > 0 ? bounds_.without_tau(best_.psi, n_theta_).cwiseAbs().maxCoeff() : 0.0;
    const double theta_step = n_theta_ > 0 ? bounds_.without_tau(best_.step, n_theta_).cwiseAbs().maxCoeff() : 0.0;
    const double far = model_.is_linear() ? 0.5 : 0.1;  // a flat maximum is no divergence
    if (settled && (beta_step > 0.1 || theta_step > far * theta + 0.01)) {
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
      for (const double nearer : {6.0, 8.0, 10.0, 13.0})
        if (try_at(limit.position, limit.side * nearer, better))
          return released_[static_cast<std::size_t>(limit.position)] = true;
    }
    return false;
  }

  /// A standard deviation of the responses, on the scale of eta.
  double unit() const { return model_.is_linear() && n_phi_ > 0 ? std::exp(best_.psi[p_ + n_theta_]) : 1.0; }

  /// True when that changes what is free.
  bool mark_held() {
    std::vector<bool> free = given_;
    bounds_.mark_held(best_.psi, free);
    const bool changed = free != free_;
    free_ = std::move(free);
    return changed;
  }

  /// The largest step of a coefficient beside the largest that is allowed.
  double beta_excess(const Eigen::VectorXd& step) const {
    if (p_ == 0) return 0.0;
    const double allowed = std::max(largest_beta_step, largest_beta_share * best_.psi.head(p_).cwiseAbs().maxCoeff());
    return step.head(p_).cwiseAbs().maxCoeff() / allowed;
  }

  /// Whether the quadratic may be trusted over this step: theta changes by less than half of its size.
  bool moderate(const Eigen::VectorXd& step) const {
    if (beta_excess(step) > 1.0) return false;
    if (n_theta_ == 0) return true;
    return bounds_.without_tau(step, n_theta_).norm() <= 0.5 * bounds_.without_tau(best_.psi, n_theta_).norm() + 0.02 &&
           bounds_.excess(best_.psi, step) <= 1.0;
  }

  Eigen::VectorXd capped(Eigen::VectorXd step) const {
    const double beta = beta_excess(step);
    const double theta = n_theta_ > 0 ? std::max(bounds_.without_tau(step, n_theta_).norm() /
                                                     (0.5 * bounds_.without_tau(best_.psi, n_theta_).norm() + 0.1),
                                                 bounds_.excess(best_.psi, step))
                                      : 0.0;
    const auto n_phi = step.size() - p_ - n_theta_;
    const double phi = n_phi > 0 ? step.tail(n_phi).cwiseAbs().maxCoeff() / 2.0 : 0.0;
    return step / std::max({1.0, beta, theta, phi});
  }

  /// Takes the point if its log-likelihood is at least `least`; best_ changes only then. From a `jump` nothing is
  /// learned about the curvature.
  bool try_point(const Eigen::VectorXd& psi, double least, bool jump = false) {
    if (!bounds_.allows(psi)) return false;
    trial_modes_ = best_.modes;
    if (!objective_.evaluate(psi, trial_modes_, trial_, covariance(trial_covariance_)) || !(trial_.value >= least))
      return false;
    take_trial(psi, !jump);
    // A better order of the coefficients is the same point in other coordinates.
    if (all_free_ && options_.reorder && objective_.any_order()) {
      Eigen::VectorXd moved = psi;
      if (n_theta_ > 0 && objective_.layout().improve_order(moved.data() + p_)) {
        trial_modes_ = best_.modes;
        if (objective_.evaluate(moved, trial_modes_, trial_, covariance(trial_covariance_))) take_trial(moved, false);
      }
    }
    return true;
  }

  void take_trial(const Eigen::VectorXd& psi, bool same_coordinates) {
    if (!objective_.has_exact_hessian()) {
      // The Hessian of a point this close serves as well.
      const bool serves = exact_ && same_coordinates && best_.gain < 100.0 * objective_.near_enough();
      if (same_coordinates) trial_.hessian = serves ? best_.sums.hessian : updated_hessian(psi);
      exact_ = serves;
    }
    best_.psi = psi;
    std::swap(best_.modes, trial_modes_);
    std::swap(best_.mode_covariance, trial_covariance_);
    std::swap(best_.sums, trial_);
  }

  /// BFGS: what the step showed of the curvature goes into the Hessian; from far away into the Fisher information of
  /// the new point, near by into what has been learned so far.
  Eigen::MatrixXd updated_hessian(const Eigen::VectorXd& psi) const {
    Eigen::MatrixXd information = best_.gain > far_away ? -trial_.hessian : -best_.sums.hessian;
    const Eigen::VectorXd s = psi - best_.psi, y = best_.sums.gradient - trial_.gradient;
    const Eigen::VectorXd Bs = information * s;
    const double sy = s.dot(y), sBs = s.dot(Bs);
    if (sy > 1e-8 * s.norm() * y.norm() && sBs > 0.0) information += y * y.transpose() / sy - Bs * Bs.transpose() / sBs;
    return -information;
  }

  /// Backtracking: Armijo, with the quadratic through value, slope and the failed value.
  bool try_line(const Eigen::VectorXd& step, const Eigen::VectorXd& gradient) {
    const double value = best_.sums.value, slope = gradient.dot(step);
    if (!(slope > 0.0)) return false;
    double length = 1.0;
    for (int i = 0; i < most_shortenings; ++i) {
      if (try_point(best_.psi + length * step, value + 1e-4 * length * slope - noise(best_.sums))) return true;
      const double fall = slope * length - (trial_.value - value);
      double shorter = 0.5 * slope * length * length / fall;
      if (!(shorter > 0.1 * length)) shorter = 0.1 * length;
      if (!(shorter < 0.5 * length)) shorter = 0.5 * length;
      length = shorter;
      if (length * slope < noise(best_.sums)) return false;
    }
    return false;
  }

  /// Fisher scoring with the covariance matrix Sigma = Lambda Lambda' as the parameter:
  /// Sigma + D Lambda' + Lambda D', D = I_theta^-1 g_theta. Exact for balanced linear models, and good from far away,
  /// where the same step in Lambda is not.
  bool try_fisher(const Eigen::VectorXd& gradient) {
    const auto P = gradient.size();
    const auto n_phi = P - p_ - n_theta_;
    Eigen::VectorXi others(p_ + n_phi);
    for (int k = 0; k < p_; ++k) others[k] = k;
    for (int r = 0; r < n_phi; ++r) others[p_ + r] = p_ + n_theta_ + r;
    Eigen::MatrixXd block(others.size(), others.size());
    for (Eigen::Index a = 0; a < others.size(); ++a)
      for (Eigen::Index b = 0; b < others.size(); ++b) block(a, b) = -best_.sums.hessian(others[a], others[b]);
    Eigen::VectorXd part(others.size());
    for (Eigen::Index a = 0; a < others.size(); ++a) part[a] = gradient[others[a]];
    Eigen::VectorXd step = Eigen::VectorXd::Zero(P);
    const Eigen::VectorXd moved = regular_inverse(block, 1e-8) * part;
    for (Eigen::Index a = 0; a < others.size(); ++a) step[others[a]] = moved[a];
    step.segment(p_, n_theta_) = regular_inverse(best_.sums.theta_information, 1e-8) * gradient.segment(p_, n_theta_);
    for (std::size_t i = 0; i < free_.size(); ++i)
      if (!free_[i]) step[static_cast<Eigen::Index>(i)] = 0.0;
    // beta and phi are capped; theta is kept in bounds by the floor on the eigenvalues.
    const double beta = beta_excess(step);
    const double phi = n_phi > 0 ? step.tail(n_phi).cwiseAbs().maxCoeff() : 0.0;
    const double shrink = std::max({1.0, beta, phi});
    step.head(p_) /= shrink;
    step.tail(n_phi) /= shrink;

    // Any increase at all would be creeping where the information is not what it seems.
    const double value = best_.sums.value, promised = 0.5 * gradient.dot(step);
    double length = 1.0;
    for (int i = 0; i < 3; ++i, length *= 0.3) {
      Eigen::VectorXd psi = best_.psi + length * step;
      const Eigen::VectorXd theta_step = length * step.segment(p_, n_theta_);
      if (!move_covariance(objective_.layout(), model_, p_, best_.psi, theta_step, psi)) return false;
      if (try_point(psi, value + std::max(noise(best_.sums), std::min(least_share * length * promised, enough))))
        return true;
    }
    return false;
  }

  /// Of a linear model, theta is relative to sigma, which has been profiled out.
  /// Where sigma goes to zero the likelihood levels off as 1 / theta^2, and Newton's method would get there by thirds.
  bool try_leap() {
    if (!is_relative_to_sigma(objective_)) return false;
    const Eigen::VectorXd now = bounds_.without_tau(best_.psi, n_theta_),
                          step = bounds_.without_tau(best_.step, n_theta_);
    const double size = now.norm(), along = step.dot(now), factor = std::min(leap, farthest_leap / size);
    if (!(size > leap_from) || !(factor > 1.5) || !(along > 0.15 * size * size) || !(along > 0.9 * size * step.norm()))
      return false;
    Eigen::VectorXd psi = best_.psi;
    psi.segment(p_, n_theta_) += (factor - 1.0) * now;
    return try_point(psi, best_.sums.value + best_.gain, true);
  }

  /// The best step that the quadratic promises within a radius; the radius learns from what was had of it.
  bool try_trust(const ScaledInformation& information, const Eigen::VectorXd& gradient) {
    const double value = best_.sums.value;
    const bool concave = information.values.size() == 0 || information.values.minCoeff() > -negative_curvature;
    // Where the way leads along a negative curvature the gradient says nothing of how far.
    const double farthest = std::max(scaled_length(information, capped(best_.step)), concave ? 0.0 : 1.0);
    double radius = radius_ > 0.0 ? std::min(radius_, std::max(farthest, 0.1)) : farthest;
    for (int i = 0; i < most_shortenings && radius > smallest_radius; ++i) {
      const TrustStep trust = trust_step(information, gradient, radius);
      if (!(trust.predicted > noise(best_.sums))) return false;
      const double shorter = n_theta_ > 0 ? bounds_.excess(best_.psi, trust.step) : 1.0;
      const double promised = trust.predicted / shorter;  // at the least: the quadratic is concave along the step
      const bool taken = try_point(best_.psi + trust.step / shorter, value + 1e-2 * promised);
      const double had = (taken ? best_.sums.value : trial_.value) - value;
      if (taken) {
        radius_ = had > 0.7 * promised ? 2.5 * radius : had < 0.25 * promised ? 0.5 * trust.length / shorter : radius;
        return true;
      }
      radius = 0.25 * trust.length / shorter;
    }
    return false;
  }

  /// Away from a saddle point, along the direction of the most negative curvature, both ways.
  bool try_curvature(const ScaledInformation& information) {
    Eigen::Index least = 0;
    if (information.values.size() == 0 || information.values.minCoeff(&least) > -negative_curvature) return false;
    Eigen::VectorXd direction = Eigen::VectorXd::Zero(best_.psi.size());
    for (std::size_t i = 0; i < information.index.size(); ++i) {
      const auto at = static_cast<Eigen::Index>(i);
      direction[information.index[i]] = information.scale[at] * information.vectors(at, least);
    }
    const double value = best_.sums.value;
    direction = capped(direction * 10.0);
    for (double length = 1.0; length > 1e-6; length *= 0.3)
      for (const double sign : {1.0, -1.0})
        if (try_point(best_.psi + sign * length * direction, value + noise(best_.sums))) return true;
    return false;
  }

  likelihood::Objective& objective_;
  const model::Model& model_;
  const model::Response& response_;
  const std::vector<bool>& given_;  ///< what the caller leaves free
  std::vector<bool> free_;          ///< without what the bounds hold
  const NewtonOptions& options_;
  const likelihood::Monitor& monitor_;
  int p_, n_theta_, n_phi_;
  Bounds bounds_;
  std::vector<bool> released_;  ///< standard deviations and tau that have come back from their end once
  bool all_free_;
  bool exact_ = true;  ///< whether best_.sums.hessian is the Hessian
  double first_log_dispersion_ = 0.0;
  int stalls_ = 0, helped_ = 0;
  double radius_ = -1.0;  ///< of the trust region, in the coordinates of the scaled information; negative: none yet
  Optimum best_;
  likelihood::Sums trial_;
  std::vector<double> trial_modes_, trial_covariance_;
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
