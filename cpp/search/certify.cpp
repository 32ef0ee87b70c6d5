#include "search/certify.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "search/boundary.hpp"
#include "search/bounds.hpp"
#include "search/diverging.hpp"

namespace multilevel::search {

namespace {

constexpr double short_way = 0.01;      // in units of what is known of a parameter by itself
constexpr double rounding_gain = 1e-6;  // below it a gain may be nothing that the arithmetic could show
constexpr double enormous = 1e3;        // of theta, on the scale of eta, or of sigma
constexpr double last_digit = 3e-16;    // relative
constexpr double same_digits = 1e-8;    // of the log-likelihood, or more than one

/// Whether a parameter of the family that is at its limit has more than `least` on the way back, all others held. There
/// the slope is too small to be told from rounding.
bool comes_back(likelihood::Objective& objective, const Optimum& optimum, double least) {
  const Bounds bounds(objective);
  for (const auto& limit : bounds.limits()) {
    if (!limit.reached(optimum.psi)) continue;
    for (const double nearer : inside_limit) {
      if (!limit.inside(nearer)) continue;
      Eigen::VectorXd psi = optimum.psi;
      psi[limit.position] = limit.side * nearer;
      std::vector<double> modes = optimum.modes;
      likelihood::Sums sums;
      if (objective.evaluate(psi, modes, sums, nullptr) && sums.value > least) return true;
    }
  }
  return false;
}

/// Whether the log-likelihood has steps, which its derivatives do not show, up to more than `least`: a short way off,
/// where the quadratic falls.
bool steps_up(likelihood::Objective& objective, const Optimum& optimum, const std::vector<bool>& free, double least) {
  const auto& model = objective.model();
  if (objective.n_theta() == 0 || model.is_linear()) return false;  // sigma may be profiled out
  const auto& parts = model.phi_parts();
  const int first = objective.n_beta() + objective.n_theta();
  std::vector<double> phi(parts.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t r = 0; r < parts.size(); ++r) {
    if (parts[r].first == parts[r].last)
      phi[r] = parts[r].given;
    else if (parts[r].constant)
      phi[r] = optimum.psi[first + parts[r].first];
  }
  if (!model.family().has_cliffs(phi.data())) return false;
  for (std::size_t k = 0; k < free.size(); ++k) {
    const auto at = static_cast<Eigen::Index>(k);
    if (!free[k] || !(optimum.sums.hessian(at, at) < 0.0)) continue;
    for (const double way : {-short_way, short_way}) {
      Eigen::VectorXd psi = optimum.psi;
      psi[at] += way / std::sqrt(-optimum.sums.hessian(at, at));
      std::vector<double> modes = optimum.modes;
      likelihood::Sums sums;
      if (objective.evaluate(psi, modes, sums, nullptr, likelihood::Derivatives::gradient) && sums.value > least)
        return true;
    }
  }
  return false;
}

/// Whether the last digits of the parameters move the log-likelihood by no more than is said of it. Where effects are
/// enormous beside what the rows tell, it is a difference of large numbers.
bool stands_still(likelihood::Objective& objective, const Optimum& optimum) {
  if (objective.n_theta() == 0) return true;
  const Eigen::VectorXd theta = Bounds(objective).without_tau(optimum.psi, objective.n_theta());
  if (!(theta.cwiseAbs().maxCoeff() > enormous)) return true;
  for (const double side : {-1.0, 1.0}) {
    Eigen::VectorXd psi = optimum.psi;
    for (Eigen::Index k = 0; k < psi.size(); ++k)
      psi[k] *= 1.0 + side * last_digit * static_cast<double>(1 + k % 3) * (k % 2 == 0 ? 1.0 : -1.0);
    std::vector<double> modes(optimum.modes.size(), 0.0);
    likelihood::Sums sums;
    if (!objective.evaluate(psi, modes, sums)) return false;
    const double moved = std::fabs(sums.value - optimum.sums.value);
    if (!(moved < std::max(same_digits * std::max(1.0, std::fabs(sums.value)), noise(sums)))) return false;
  }
  return true;
}

}  // namespace

Finding certify(likelihood::Objective& objective, Optimum& optimum, std::vector<bool>& free, double gain_tolerance) {
  likelihood::Sums sums;
  // Modes are reported that are found without knowing where the search came from.
  std::fill(optimum.modes.begin(), optimum.modes.end(), 0.0);
  double* covariance = optimum.mode_covariance.empty() ? nullptr : optimum.mode_covariance.data();
  const likelihood::AtLeisure leisure(objective);
  const bool known = optimum.differentiated.size() == optimum.psi.size() && optimum.differentiated == optimum.psi &&
                     objective.same_differences();
  if (!known && !objective.has_exact_hessian()) objective.differentiate_ahead(optimum.psi);
  if (!objective.evaluate(optimum.psi, optimum.modes, sums, covariance)) return Finding::unmeasured;
  if (objective.n_theta() + objective.n_phi() > 0)
    free = free_parameters(objective, optimum.psi);
  else
    free.assign(static_cast<std::size_t>(optimum.psi.size()), true);
  if (!objective.hessian_has_digits(sums)) {
    if (known)
      sums.hessian = optimum.sums.hessian;
    else if (!objective.differentiate_carefully(optimum.psi, optimum.modes, free, sums))
      return Finding::unmeasured;
    optimum.differentiated = optimum.psi;
  }
  if (!sums.hessian.allFinite()) return Finding::unmeasured;
  const double fall = optimum.sums.value - sums.value;  // the search saw more than there is
  optimum.sums = sums;
  Eigen::VectorXd gradient = sums.gradient;
  for (std::size_t i = 0; i < free.size(); ++i)
    if (!free[i]) gradient[static_cast<Eigen::Index>(i)] = 0.0;
  const ScaledInformation information(sums.hessian, free, sums.hessian_error);
  const bool concave = information.values.size() == 0 || information.values.minCoeff() > -negative_curvature;
  optimum.step = information.solve(gradient, !concave);
  optimum.gain = 0.5 * gradient.dot(optimum.step);
  const double rounding = noise(sums);
  if (fall > 1e3 * rounding + rounding_gain) return Finding::can_rise;
  const bool flat = optimum.gain < std::max(gain_tolerance, rounding);
  if (!flat || !concave || !is_maximum(objective, optimum)) return Finding::can_rise;
  if (comes_back(objective, optimum, sums.value + std::max({gain_tolerance, rounding, same_maximum})))
    return Finding::can_rise;
  if (!stands_still(objective, optimum)) return Finding::unmeasured;
  if (steps_up(objective, optimum, free, sums.value + std::max(rounding_gain, rounding))) return Finding::unmeasured;
  // A user's wider tolerance leaves ordinary fits with steps that are not short.
  const double hidden = std::max(std::min(gain_tolerance, rounding_gain), rounding);
  return diverges(objective, optimum, hidden) ? Finding::runs_off : Finding::certified;
}

}  // namespace multilevel::search
