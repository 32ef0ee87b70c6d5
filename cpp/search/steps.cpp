#include "search/steps.hpp"

#include <algorithm>
#include <cmath>

#include "linear_algebra/dense.hpp"
#include "search/covariance_step.hpp"
#include "search/vanishing_residual.hpp"

namespace multilevel::search {

namespace {

// Of beta, on the scale of eta: columns have a root mean square near one. Where the link is that of a mean itself eta
// has the size of the response, and steps are compared with beta.
constexpr double largest_beta_step = 4.0, largest_beta_share = 0.5;
constexpr double least_share = 0.1;  // of the gain that a step promises: less, and the next kind of step is tried
constexpr double enough = 1.0;       // but this much is always enough
constexpr int most_shortenings = 15;
constexpr double smallest_radius = 1e-7;                             // of the trust region, in standard errors
constexpr double leap = 10.0, leap_from = 2.0, farthest_leap = 2e3;  // of theta beside sigma

}  // namespace

Steps::Steps(likelihood::Objective& objective, const std::vector<bool>& free, const NewtonOptions& options)
    : objective_(objective),
      model_(objective.model()),
      free_(free),
      options_(options),
      p_(objective.n_beta()),
      n_theta_(objective.n_theta()),
      n_phi_(objective.n_phi()),
      bounds_(objective),
      all_free_(std::find(free.begin(), free.end(), false) == free.end()) {}

double Steps::beta_excess(const Eigen::VectorXd& step) const {
  if (p_ == 0) return 0.0;
  const double allowed = std::max(largest_beta_step, largest_beta_share * best_.psi.head(p_).cwiseAbs().maxCoeff());
  return step.head(p_).cwiseAbs().maxCoeff() / allowed;
}

bool Steps::moderate(const Eigen::VectorXd& step) const {
  if (beta_excess(step) > 1.0) return false;
  if (n_theta_ == 0) return true;
  return bounds_.without_tau(step, n_theta_).norm() <= 0.5 * bounds_.without_tau(best_.psi, n_theta_).norm() + 0.02 &&
         bounds_.excess(best_.psi, step) <= 1.0;
}

Eigen::VectorXd Steps::capped(Eigen::VectorXd step) const {
  const double beta = beta_excess(step);
  const double theta = n_theta_ > 0 ? std::max(bounds_.without_tau(step, n_theta_).norm() /
                                                   (0.5 * bounds_.without_tau(best_.psi, n_theta_).norm() + 0.1),
                                               bounds_.excess(best_.psi, step))
                                    : 0.0;
  const auto n_phi = step.size() - p_ - n_theta_;
  const double phi = n_phi > 0 ? step.tail(n_phi).cwiseAbs().maxCoeff() / 2.0 : 0.0;
  return step / std::max({1.0, beta, theta, phi});
}

bool Steps::try_point(const Eigen::VectorXd& psi, double least, bool jump) {
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

void Steps::take_trial(const Eigen::VectorXd& psi, bool same_coordinates) {
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

Eigen::MatrixXd Steps::updated_hessian(const Eigen::VectorXd& psi) const {
  Eigen::MatrixXd information = best_.gain > far_away ? -trial_.hessian : -best_.sums.hessian;
  const Eigen::VectorXd s = psi - best_.psi, y = best_.sums.gradient - trial_.gradient;
  const Eigen::VectorXd Bs = linear_algebra::apply(information, s);
  const double sy = s.dot(y), sBs = s.dot(Bs);
  if (sy > 1e-8 * s.norm() * y.norm() && sBs > 0.0) information += y * y.transpose() / sy - Bs * Bs.transpose() / sBs;
  return -information;
}

bool Steps::try_line(const Eigen::VectorXd& step, const Eigen::VectorXd& gradient) {
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

bool Steps::try_fisher(const Eigen::VectorXd& gradient) {
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

bool Steps::try_leap() {
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

bool Steps::try_trust(const ScaledInformation& information, const Eigen::VectorXd& gradient) {
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

bool Steps::try_curvature(const ScaledInformation& information) {
  Eigen::Index least = 0;
  if (information.values.size() == 0 || information.values.minCoeff(&least) > -negative_curvature) return false;
  Eigen::VectorXd direction = Eigen::VectorXd::Zero(best_.psi.size());
  for (std::size_t i = 0; i < information.index.size(); ++i) {
    const auto at = static_cast<Eigen::Index>(i);
    direction[information.index[i]] = information.scale[at] * information.vectors(at, least);
  }
  const double value = best_.sums.value;
  direction = capped(direction * 10.0);
  // Where the last one had to be short there is no use in trying much longer ones.
  for (double length = std::min(1.0, 10.0 * curvature_length_); length > 1e-6; length *= 0.3)
    for (const double sign : {1.0, -1.0})
      if (try_point(best_.psi + sign * length * direction, value + noise(best_.sums))) {
        curvature_length_ = length;
        return true;
      }
  return false;
}

}  // namespace multilevel::search
