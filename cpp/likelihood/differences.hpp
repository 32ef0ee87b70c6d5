// Second derivatives of an objective by central differences of its exact gradient.
//
// Steps along single parameters come first. Where parameters are nearly confounded what such a step neglects is as
// much larger in a standard error as that is than the error with all others known; and where linear predictors have so
// much information that their last digit moves the gradient, short steps show rounding. Then steps are taken along
// directions in which, by the first Hessian, the information is the unit matrix: each entry is as good as every other.
#pragma once

#include <vector>

#include "likelihood/objective.hpp"

namespace multilevel::likelihood {

class Differences {
 public:
  /// At a point that has been evaluated, with its conditional modes.
  Differences(Objective& objective, const Eigen::VectorXd& psi, const std::vector<double>& modes)
      : objective_(objective), psi_(psi), modes_(modes) {}

  /// Replaces the Hessian, by steps along single parameters, and gives the errors of its entries. False when a
  /// neighbouring point cannot be evaluated.
  bool hessian(Sums& sums);

  /// Replaces the block of the free parameters where steps along single parameters do not tell it.
  void refine(const std::vector<bool>& free, Sums& sums);

 private:
  /// Half of what the gradient changes from psi - step to psi + step.
  bool change(const Eigen::VectorXd& step, Eigen::VectorXd& half);
  /// basis' Hessian basis, by steps along its columns of h times how far each reaches; `apart`: the most by which the
  /// two differences that give an entry disagree.
  bool along(const Eigen::MatrixXd& basis, const Eigen::VectorXd& reach, double h, Eigen::MatrixXd& result,
             double& apart);
  /// The share of each column that may be gone with the objective about quadratic.
  Eigen::VectorXd within_reach(const Eigen::MatrixXd& basis) const;

  Objective& objective_;
  const Eigen::VectorXd& psi_;
  const std::vector<double>& modes_;
  std::vector<double> from_;
  Sums side_;
};

}  // namespace multilevel::likelihood
