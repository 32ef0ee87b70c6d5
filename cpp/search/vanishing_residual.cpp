#include "search/vanishing_residual.hpp"

#include <cmath>
#include <vector>

#include "linear_algebra/dense.hpp"
#include "search/bounds.hpp"

namespace multilevel::search {

namespace {

constexpr double vanished = 3e2, nearly_settled = 1e-4, no_opinion = 1e-3;  // theta beside sigma, gain, information
constexpr double a_third = 3.0, same_value = 1e-4;                          // theta beside sigma, log-likelihood
constexpr double some_residual = 30.0;                                      // theta beside sigma

}  // namespace

bool is_relative_to_sigma(const likelihood::Objective& objective) {
  return objective.n_beta() == 0 && objective.n_phi() == 0 && objective.model().is_linear();
}

Eigen::VectorXd with_a_residual(const likelihood::Objective& objective, const Eigen::VectorXd& psi) {
  Eigen::VectorXd back = psi;
  const Eigen::VectorXd size = Bounds(objective).without_tau(psi, objective.n_theta());
  back.segment(objective.n_beta(), objective.n_theta()) -= (1.0 - some_residual / size.norm()) * size;
  return back;
}

bool residual_vanishes(const likelihood::Objective& objective, const Optimum& optimum) {
  if (!is_relative_to_sigma(objective) || optimum.gain > nearly_settled) return false;
  const int n_theta = objective.n_theta();
  const Bounds bounds(objective);
  const Eigen::VectorXd now = bounds.without_tau(optimum.psi, n_theta);
  if (!(now.norm() > vanished)) return false;
  return -now.dot(linear_algebra::apply(optimum.sums.hessian.topLeftCorner(n_theta, n_theta), now)) < no_opinion;
}

bool levels_off(likelihood::Objective& objective, const Optimum& optimum) {
  if (!is_relative_to_sigma(objective) || optimum.gain > nearly_settled) return false;
  const int n_theta = objective.n_theta();
  const Eigen::VectorXd now = Bounds(objective).without_tau(optimum.psi, n_theta);
  if (!(now.norm() > vanished)) return false;
  Eigen::VectorXd further = optimum.psi;
  further.segment(objective.n_beta(), n_theta) += (a_third - 1.0) * now;
  std::vector<double> modes = optimum.modes;
  likelihood::Sums sums = optimum.sums;
  return objective.evaluate(further, modes, sums) && std::fabs(sums.value - optimum.sums.value) < same_value;
}

}  // namespace multilevel::search
