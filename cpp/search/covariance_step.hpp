// Fisher scoring with the covariance matrix as the parameter: Sigma + D Lambda' + Lambda D'. Exact for balanced linear
// models, and good from far away, where the same step in Lambda is not.
#pragma once

#include "model/layout.hpp"

namespace multilevel::search {

/// Moves the covariance of every term by the step `d` in theta, from `now` into `psi`; beta and phi are left alone.
/// No variance falls below a hundredth of itself. False when a factor cannot be made again.
bool move_covariance(const model::Layout& layout, const model::Model& model, int n_beta, const Eigen::VectorXd& now,
                     const Eigen::VectorXd& d, Eigen::VectorXd& psi);

/// Inverse with small and negative eigenvalues raised to a share of the largest.
Eigen::MatrixXd regular_inverse(const Eigen::MatrixXd& m, double floor);

}  // namespace multilevel::search
