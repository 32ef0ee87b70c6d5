#include "model/user_scale.hpp"

namespace multilevel::model {

Eigen::VectorXd UserScale::inward(const Eigen::VectorXd& psi) const { return matrix.fullPivLu().solve(psi - shift); }

std::pair<Eigen::VectorXd, Eigen::MatrixXd> UserScale::outward(const Eigen::VectorXd& gradient,
                                                               const Eigen::MatrixXd& hessian) const {
  const Eigen::MatrixXd back = matrix.inverse();
  return {back.transpose() * gradient, back.transpose() * hessian * back};
}

}  // namespace multilevel::model
