// The step of a trust region: the best one within a radius, as the quadratic through value, gradient and Hessian sees
// it. Where the Hessian has the wrong sign it leads along it, which no Newton step does.
#pragma once

#include "search/scaled_information.hpp"

namespace multilevel::search {

struct TrustStep {
  Eigen::VectorXd step;    ///< of all parameters; zero for those that are held
  double predicted = 0.0;  ///< gain of the quadratic
  double length = 0.0;     ///< in the coordinates of the scaled information
};

/// Maximizes g'd - d'Id / 2 over |d| <= radius, where lengths are those of the scaled information.
TrustStep trust_step(const ScaledInformation& information, const Eigen::VectorXd& gradient, double radius);

/// Length of a step in the coordinates of the scaled information.
double scaled_length(const ScaledInformation& information, const Eigen::VectorXd& step);

}  // namespace multilevel::search
