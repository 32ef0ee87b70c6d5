// Zero variances. Lambda is signed, so the log-likelihood is even in a vanishing column and zero is a stationary point;
// the exact Hessian there says whether it is a maximum: half of its diagonal entry is d log-likelihood / d variance.
#pragma once

#include "estimate/fit.hpp"

namespace multilevel::estimate {

/// diag(Lambda) >= 0, by changing the sign of columns; everything else in the record changes sign with them.
void make_diagonal_positive(const Layout& layout, int p, int q, Optimum& optimum);

/// Sets small columns of Lambda to exactly zero, the smallest first, where that costs no likelihood and the curvature
/// there says that zero is a maximum; their entries are then no longer free.
void settle_boundary(Objective& objective, const model::Response& response, Optimum& optimum, std::vector<bool>& free,
                     const NewtonOptions& options, const Monitor& monitor);

/// Which parameters are free at psi: all but the entries of columns of Lambda that are zero.
std::vector<bool> free_parameters(const Layout& layout, int p, int n_phi, const Eigen::VectorXd& psi);

/// Scores of the variances at zero, on the internal scale.
std::vector<BoundaryScore> boundary_scores(const Layout& layout, const model::Model& model, const Optimum& optimum,
                                           const std::vector<bool>& free);

}  // namespace multilevel::estimate
