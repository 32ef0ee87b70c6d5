// A place where an objective was evaluated, and what was found there.
#pragma once

#include <Eigen/Dense>
#include <vector>

#include "likelihood/sums.hpp"

namespace multilevel::likelihood {

struct Point {
  Eigen::VectorXd psi;
  std::vector<double> modes, mode_covariance;
  Sums sums;
  Eigen::VectorXd step;  ///< the Newton step that would come next
};

}  // namespace multilevel::likelihood
