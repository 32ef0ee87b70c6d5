// The information (minus the Hessian) scaled to a unit diagonal: what is flat and what bends the wrong way does not
// depend on the units of the parameters.
#pragma once

#include <Eigen/Core>
#include <vector>

namespace multilevel::search {

/// Information on the free parameters scaled to a unit diagonal: eigenvalues and vectors, and the scale.
struct ScaledInformation {
  std::vector<int> index;  ///< positions of the free parameters
  Eigen::VectorXd scale;   ///< 1 / sqrt(diagonal)
  Eigen::VectorXd values;
  Eigen::MatrixXd vectors;

  ScaledInformation(const Eigen::MatrixXd& hessian, const std::vector<bool>& free);
  /// Eigenvalues that these errors of the Hessian's entries could have made become zero: the directions are flat as far
  /// as is known. Without errors nothing changes.
  void leave_out(const Eigen::MatrixXd& hessian_error);
  /// I^-1 g on the free parameters, flat directions left out; zeros elsewhere.
  Eigen::VectorXd solve(const Eigen::VectorXd& gradient, bool absolute = false) const;
  /// I^-1, NaN for parameters that are not free.
  Eigen::MatrixXd inverse(int n_parameters) const;
};

}  // namespace multilevel::search
