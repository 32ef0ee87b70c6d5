// Zero variances. Lambda is signed, so the log-likelihood is even in a vanishing column and zero is a stationary point;
// the exact Hessian there says whether it is a maximum: half of its diagonal entry is d log-likelihood / d variance.
#pragma once

#include "estimate/fit.hpp"

namespace multilevel::estimate {

/// diag(Lambda) >= 0, by changing the sign of columns; modes of v change sign with them.
void make_diagonal_positive(const model::Model& model, Optimum& optimum);

/// Sets columns of Lambda that are negligible to exactly zero where that costs no likelihood and the curvature allows it,
/// and marks their entries as not free. Small means small beside the scatter on the scale of eta.
void settle_boundary(Objective& objective, const model::Response& response, Optimum& optimum, std::vector<bool>& free, const NewtonOptions& options,
                     const Monitor& monitor);

/// Scores of the variances at zero, on the internal scale.
std::vector<BoundaryScore> boundary_scores(const model::Model& model, const Optimum& optimum, const std::vector<bool>& free);

}  // namespace multilevel::estimate
