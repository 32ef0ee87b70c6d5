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

  /// Eigenvalues that errors of the Hessian's entries, where they are known, could have made are zero: the directions
  /// are flat as far as can be told.
  ScaledInformation(const Eigen::MatrixXd& hessian, const std::vector<bool>& free,
                    const Eigen::MatrixXd& hessian_error = {});
  /// I^-1 g on the free parameters, flat directions left out; zeros elsewhere.
  Eigen::VectorXd solve(const Eigen::VectorXd& gradient, bool absolute = false) const;
  /// I^-1, NaN for parameters that are not free.
  Eigen::MatrixXd inverse(int n_parameters) const;

 private:
  void flatten(const Eigen::MatrixXd& hessian_error);
};

}  // namespace multilevel::search
