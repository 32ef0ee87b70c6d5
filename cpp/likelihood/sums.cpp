#include "likelihood/sums.hpp"

#include <algorithm>

namespace multilevel::likelihood {

void Sums::start(int n_parameters, int n_theta, Derivatives derivatives) {
  log_likelihood = {};
  value = 0.0;
  gradient.setZero(n_parameters);
  const bool hessians = derivatives == Derivatives::hessian;
  hessian.setZero(hessians ? n_parameters : 0, hessians ? n_parameters : 0);
  hessian_error.resize(0, 0);
  theta_information.setZero(hessians ? n_theta : 0, hessians ? n_theta : 0);
  sharpest = 0.0;
  failed_cluster = -1;
  newton_steps = 0;
  several_modes = 0;
}

void Sums::add(const Sums& other) {
  log_likelihood.add(other.log_likelihood);
  gradient += other.gradient;
  hessian += other.hessian;
  theta_information += other.theta_information;
  sharpest = std::max(sharpest, other.sharpest);
  if (failed_cluster < 0) failed_cluster = other.failed_cluster;
  newton_steps += other.newton_steps;
  several_modes += other.several_modes;
}

void Sums::complete(int n_beta) {
  const auto P = hessian.rows(), rest = P - n_beta;
  if (P == 0) return;
  hessian.bottomLeftCorner(rest, n_beta) = hessian.topRightCorner(n_beta, rest).transpose().eval();
  hessian.bottomRightCorner(rest, rest).triangularView<Eigen::StrictlyUpper>() =
      hessian.bottomRightCorner(rest, rest).transpose().eval();
  hessian = 0.5 * (hessian + hessian.transpose()).eval();
  theta_information.triangularView<Eigen::StrictlyUpper>() = theta_information.transpose().eval();
}

}  // namespace multilevel::likelihood
