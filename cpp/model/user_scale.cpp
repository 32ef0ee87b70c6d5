#include "model/user_scale.hpp"

#include "linear_algebra/dense.hpp"

namespace multilevel::model {

Eigen::VectorXd UserScale::outward(const Eigen::VectorXd& psi) const {
  return linear_algebra::apply(matrix, psi) + shift;
}

Eigen::VectorXd UserScale::inward(const Eigen::VectorXd& psi) const {
  return linear_algebra::solve_square(matrix, psi - shift);
}

std::pair<Eigen::VectorXd, Eigen::MatrixXd> UserScale::outward(const Eigen::VectorXd& gradient,
                                                               const Eigen::MatrixXd& hessian) const {
  const Eigen::MatrixXd back = linear_algebra::inverse(matrix);
  return {linear_algebra::apply_transposed(back, gradient), linear_algebra::sandwich(back, hessian)};
}

}  // namespace multilevel::model
