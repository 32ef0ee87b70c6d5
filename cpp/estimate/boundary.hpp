// Variances that are zero and correlations at their end. Lambda is signed, so the log-likelihood is even in a vanishing
// column and zero is a stationary point; the exact Hessian there says whether it is a maximum: half of its diagonal
// entry is d log-likelihood / d variance. Only the standard deviations of Bounds::positive() need not be stationary.
#pragma once

#include "estimate/fit.hpp"

namespace multilevel::estimate {

/// diag(Lambda) >= 0, by changing the sign of columns; everything else in the record changes sign with them.
void make_diagonal_positive(const Layout& layout, const model::Model& model, Optimum& optimum);

/// Sets small columns of Lambda and small standard deviations to exactly zero, the smallest first, and far tau to their
/// end, where that costs no likelihood and the derivatives there say that it is a maximum; they are then no longer
/// free.
void settle_boundary(Objective& objective, const model::Response& response, Optimum& optimum, std::vector<bool>& free,
                     const NewtonOptions& options, const Monitor& monitor);

/// Which parameters are free at psi: all but the entries of columns of Lambda that are zero, standard deviations that
/// are zero, tau at their end, and tau that nothing depends on.
std::vector<bool> free_parameters(const Layout& layout, const model::Model& model, int n_beta,
                                  const Eigen::VectorXd& psi);

/// Scores at the boundary, on the internal scale.
std::vector<BoundaryScore> boundary_scores(const Layout& layout, const model::Model& model, const Optimum& optimum,
                                           const std::vector<bool>& free);

}  // namespace multilevel::estimate
