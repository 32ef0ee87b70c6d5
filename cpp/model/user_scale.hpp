// Between the user's scale and that inside, where columns are centred and scaled: the one place that goes back and
// forth.
#pragma once

#include <Eigen/Dense>
#include <utility>

namespace multilevel::model {

/// psi = (beta, theta, phi) on the user's scale is matrix * psi + shift.
struct UserScale {
  Eigen::MatrixXd matrix;
  Eigen::VectorXd shift;

  Eigen::VectorXd outward(const Eigen::VectorXd& psi) const { return matrix * psi + shift; }
  Eigen::VectorXd inward(const Eigen::VectorXd& psi) const;
  /// Gradient and Hessian with respect to psi on the user's scale, from those with respect to the psi inside.
  std::pair<Eigen::VectorXd, Eigen::MatrixXd> outward(const Eigen::VectorXd& gradient,
                                                      const Eigen::MatrixXd& hessian) const;
};

}  // namespace multilevel::model
