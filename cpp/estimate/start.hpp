// Where a fit starts: the generalized linear model for beta and phi, a share of its residual scatter for theta.
#pragma once

#include "estimate/newton.hpp"

namespace multilevel::estimate {

struct Start {
  Eigen::VectorXd psi;  ///< (beta, theta, phi)
  bool usable = true;   ///< false when no point with a finite likelihood was found
};

/// Uses every stride-th panel.
Start starting_values(const model::Model& model, const model::Response& response, int stride, int threads, const Monitor& monitor);

}  // namespace multilevel::estimate
