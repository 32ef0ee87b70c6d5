// What the levels of several grouping factors add to the gradient, and to the parts of the data, at the modes.
#pragma once

#include <vector>

#include "likelihood/contributions.hpp"
#include "likelihood/joint/precision.hpp"
#include "model/layout.hpp"

namespace multilevel::likelihood {

/// Vectors over the random effects of all levels of all factors.
struct LevelGradient {
  const std::vector<double>& modes;
  const std::vector<double>& h;         ///< how far the mean lies from the mode
  const std::vector<double>& force;     ///< Z'l'
  const std::vector<double>& rho;       ///< Z'rho
  const std::vector<double>& products;  ///< N, level by level
};

/// Derivatives by the entries of Lambda.
Eigen::VectorXd entry_gradient(const model::Model& model, const model::Layout& layout, const LevelGradient& at);

/// The same of each part, with -v'v/2 and -log|H|/2.
void contribute_levels(const JointPattern& pattern, const JointPrecision& precision, const model::Layout& layout,
                       const LevelGradient& at, Contributions& to);

/// The mean lies h from the mode; the variance is that of the normal approximation.
void contribute_moments(const model::Model& model, const LevelGradient& at, const double* mode_covariance,
                        Contributions& to);

}  // namespace multilevel::likelihood
